/** What came from another member is not its protocol, or is larger than anything a member sends. The text is for the log. */
export class CodecError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "CodecError";
  }
}
