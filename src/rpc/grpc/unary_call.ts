import { Code, type MessageBody, type Method, type UnaryCall } from "../../io/rpc.ts";
import { GrpcCall } from "./call.ts";

type UnaryMethod = Extract<Method, { kind: "unary" }>;

export class GrpcUnaryCall extends GrpcCall implements UnaryCall {
  reply(message: Uint8Array): void {
    if (this.isClosed) return;
    this.stream.sendHeaders(this.request.responseHeaders);
    if (this.sendMessage(message) === undefined) {
      this.fail(Code.RESOURCE_EXHAUSTED, "server has no buffer space left for this reply");
      return;
    }
    this.endOk();
  }

  replyBody(body: MessageBody): void {
    if (this.isClosed) {
      body.close();
      return;
    }
    this.stream.sendHeaders(this.request.responseHeaders);
    this.sendMessageBody(body);
    this.endOk();
  }

  /** As grpc-go, the handler starts at the first message and nobody looks for a second. */
  protected takeMessage(message: Uint8Array): void {
    this.ignoresMessages = true;
    try {
      const pending = (this.request.method as UnaryMethod).handle(this, message);
      if (GrpcCall.isPromise(pending)) this.#watch(pending);
    } catch (error) {
      this.threw(error);
    }
  }

  /** Apart, since a function that contains a closure allocates its variables whether it makes the closure or not. */
  #watch(pending: Promise<void>): void {
    pending.catch((error) => this.threw(error));
  }

  protected takeEnd(isPartial: boolean): void {
    // grpc-go lets the reader's errors through as they are, hence the code.
    if (!this.ignoresMessages) this.fail(Code.UNKNOWN, isPartial ? "unexpected EOF" : "EOF");
  }
}
