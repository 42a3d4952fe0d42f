/**
 * One decoded header field. Everything that can be said of a field alone is found out once, when it is decoded; a field
 * in a header table is then used by every block that refers to it.
 */

/** What a field's name means to a reader that registered it; 0 for all other names. */
export type FieldKind = number;

export const OTHER_FIELD: FieldKind = 0;

const kinds = new Map<string, FieldKind>();

/** Registers a lower-case name, so that readers can switch on a small number instead of comparing text. */
export function fieldKind(name: string): FieldKind {
  let kind = kinds.get(name);
  if (kind === undefined) {
    kind = kinds.size + 1;
    kinds.set(name, kind);
  }
  return kind;
}

export const METHOD: FieldKind = fieldKind(":method");
export const SCHEME: FieldKind = fieldKind(":scheme");
export const AUTHORITY: FieldKind = fieldKind(":authority");
export const PATH: FieldKind = fieldKind(":path");
export const CONTENT_LENGTH: FieldKind = fieldKind("content-length");
export const TE: FieldKind = fieldKind("te");
export const CONTENT_TYPE: FieldKind = fieldKind("content-type");
export const HOST: FieldKind = fieldKind("host");

/** Fields that belong to a connection and make a request malformed (RFC 9113, section 8.2.2). */
const CONNECTION_SPECIFIC = new Set(["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]);

const OK = 1, INNER_ONLY = 2;
/** For each byte: may it be in a field name, in a field value? Space and tab may not begin or end a value. */
const nameBytes = new Uint8Array(256);
const valueBytes = new Uint8Array(256);
for (const byte of new TextEncoder().encode("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")) {
  nameBytes[byte] = OK;
}
for (let byte = 0x21; byte < 0x100; byte++) if (byte !== 0x7f) valueBytes[byte] = OK;
valueBytes[0x09] = valueBytes[0x20] = INNER_ONLY;

/** RFC 9113, section 8.2.1. A pseudo header field's colon is not looked at: those names are known. */
export function isValidName(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return false;
  for (let i = bytes[start] === 0x3a ? start + 1 : start; i < end; i++) if (nameBytes[bytes[i]] === 0) return false;
  return true;
}

export function isValidValue(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  if (valueBytes[bytes[start]] === INNER_ONLY || valueBytes[bytes[end - 1]] === INNER_ONLY) return false;
  for (let i = start; i < end; i++) if (valueBytes[bytes[i]] === 0) return false;
  return true;
}

/** What the two texts of a field count beside their lengths (RFC 7541, section 4.1). */
const FIELD_OVERHEAD = 32;

export class HeaderField {
  readonly name: string;
  /** One UTF-16 unit per byte. */
  readonly value: string;
  readonly kind: FieldKind;
  /** Size in a header table and in a header list. */
  readonly size: number;
  readonly isPseudo: boolean;
  /** Why a request with this field is malformed; empty if it is not. */
  readonly flaw: string;

  constructor(name: string, value: string, kind: FieldKind, isPseudo: boolean, flaw: string) {
    this.name = name;
    this.value = value;
    this.kind = kind;
    this.size = name.length + value.length + FIELD_OVERHEAD;
    this.isPseudo = isPseudo;
    this.flaw = flaw;
  }

  /** The field with this name and another value; `isValid` is what `isValidValue` said of its bytes. */
  withValue(value: string, isValid: boolean): HeaderField {
    let flaw = nameFlaw(this.name, this.kind, this.isPseudo);
    if (!isValid) flaw = "invalid field value";
    else if (this.kind === TE && value !== "trailers") flaw = "te other than trailers";
    return new HeaderField(this.name, value, this.kind, this.isPseudo, flaw);
  }
}

/** A field without value, to make fields from with `withValue`. */
export function fieldNamed(name: string, isValid: boolean): HeaderField {
  const isPseudo = name.charCodeAt(0) === 0x3a;
  const kind = kinds.get(name) ?? OTHER_FIELD;
  // The name's own flaw is looked at again for each value; an invalid name is marked by an impossible kind.
  return new HeaderField(name, "", isValid ? kind : INVALID_NAME, isPseudo, "");
}

const INVALID_NAME: FieldKind = -1;

function nameFlaw(name: string, kind: FieldKind, isPseudo: boolean): string {
  if (kind === INVALID_NAME) return "invalid field name";
  if (isPseudo && kind !== METHOD && kind !== SCHEME && kind !== AUTHORITY && kind !== PATH) {
    return "unknown pseudo header field";
  }
  if (kind === OTHER_FIELD && CONNECTION_SPECIFIC.has(name)) return "connection-specific header field";
  return "";
}

/**
 * The fields of one header block in order, with what the block as a whole says. Blocks that repeat share one list, so it
 * is never changed once decoded.
 */
export class HeaderList {
  readonly fields: HeaderField[] = [];
  method: string | undefined = undefined;
  scheme: string | undefined = undefined;
  authority: string | undefined = undefined;
  path: string | undefined = undefined;
  /** -1 where the client did not say. */
  contentLength = -1;
  contentType: string | undefined = undefined;
  /** Sum of the fields' sizes, those included that were dropped. */
  size = 0;
  isTooLarge = false;
  hasPseudo = false;
  /** Why the block is malformed; empty if it is not. */
  flaw = "";
  /** What a reader of requests found out about this block, to be found again when the block repeats. */
  attachment: unknown = undefined;

  add(field: HeaderField, sizeMax: number): void {
    this.size += field.size;
    if (this.size > sizeMax) {
      // The rest is still decoded, for the header table's sake, but no longer kept.
      this.isTooLarge = true;
      return;
    }
    if (field.flaw !== "" && this.flaw === "") this.flaw = field.flaw;
    if (field.isPseudo) {
      if (this.fields.length > 0 && !this.fields[this.fields.length - 1].isPseudo) {
        this.flaw = "pseudo header field after regular ones";
      }
      this.hasPseudo = true;
    }
    this.fields.push(field);
    const kind = field.kind;
    if (kind <= OTHER_FIELD || kind > HOST) return;
    if (kind === METHOD) {
      if (this.method !== undefined) this.flaw = "repeated pseudo header field";
      this.method = field.value;
    } else if (kind === SCHEME) {
      if (this.scheme !== undefined) this.flaw = "repeated pseudo header field";
      this.scheme = field.value;
    } else if (kind === PATH) {
      if (this.path !== undefined) this.flaw = "repeated pseudo header field";
      this.path = field.value;
    } else if (kind === AUTHORITY) {
      if (this.authority !== undefined) this.flaw = "repeated pseudo header field";
      this.authority = field.value;
    } else if (kind === CONTENT_TYPE) {
      this.contentType ??= field.value;
    } else if (kind === CONTENT_LENGTH) {
      const length = /^[0-9]{1,15}$/.test(field.value) ? Number(field.value) : -1;
      if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length)) this.flaw = "bad content-length";
      this.contentLength = length;
    }
  }

  /** Why this is not a request (RFC 9113, section 8.3.1); empty if it is one. */
  requestFlaw(): string {
    if (this.flaw !== "") return this.flaw;
    if (this.method === undefined) return "no :method";
    if (this.method === "CONNECT") {
      return this.scheme === undefined && this.path === undefined ? "" : "CONNECT with :scheme or :path";
    }
    if (this.scheme === undefined) return "no :scheme";
    if (this.path === undefined || this.path === "") return "no :path";
    return "";
  }

  /** Why these are not trailers (section 8.1); empty if they are. */
  trailersFlaw(): string {
    if (this.flaw !== "") return this.flaw;
    return this.hasPseudo ? "pseudo header field in trailers" : "";
  }
}
