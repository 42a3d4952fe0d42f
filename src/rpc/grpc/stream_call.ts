import { Code, type MessageBody, type Method, type StreamCall } from "../../io/rpc.ts";
import { GrpcCall } from "./call.ts";

type StreamingMethod = Exclude<Method, { kind: "unary" }>;

export class GrpcStreamCall extends GrpcCall implements StreamCall {
  /** The request of a server-streaming call, kept until the client has ended its side. */
  #onlyMessage: Uint8Array | undefined = undefined;
  #messageListener: ((message: Uint8Array) => void) | undefined = undefined;
  #halfCloseListener: (() => void) | undefined = undefined;
  #drainListener: (() => void) | undefined = undefined;

  /** Runs the handler of a method that takes a stream; that of a server-streaming one runs when its request is here. */
  start(): void {
    this.stream.mayStall = true;
    const method = this.request.method as StreamingMethod;
    if (method.kind === "server_streaming") return;
    this.stream.endsAtDrain = method.kind === "bidi_streaming";
    this.#run(() => method.handle(this));
  }

  onMessage(listener: (message: Uint8Array) => void): void {
    this.#messageListener = listener;
  }

  onHalfClose(listener: () => void): void {
    this.#halfCloseListener = listener;
  }

  pause(): void {
    this.pauseMessages();
  }

  resume(): void {
    this.resumeMessages();
  }

  get queuedSize(): number {
    return this.stream.queuedSize;
  }

  sendHeaders(): void {
    if (!this.isClosed && !this.stream.areHeadersSent) this.stream.sendHeaders(this.request.responseHeaders);
  }

  send(message: Uint8Array): boolean {
    if (this.isClosed) return true;
    this.sendHeaders();
    const isFlowing = this.sendMessage(message);
    if (isFlowing !== undefined) return isFlowing;
    this.refuse(Code.RESOURCE_EXHAUSTED, "server has no buffer space left for this stream");
    return true;
  }

  sendBody(body: MessageBody): boolean {
    if (this.isClosed) {
      body.close();
      return true;
    }
    this.sendHeaders();
    return this.sendMessageBody(body);
  }

  // Called by the handler with a listener, by the stream without: one name in both of their interfaces.
  override onDrain(listener?: () => void): void {
    if (listener !== undefined) {
      this.#drainListener = listener;
    } else if (!this.isClosed) {
      try {
        this.#drainListener?.();
      } catch (error) {
        this.threw(error);
      }
    }
  }

  end(): void {
    if (this.isClosed) return;
    this.sendHeaders();
    this.endOk();
  }

  protected takeMessage(message: Uint8Array): void {
    const method = this.request.method as StreamingMethod;
    if (method.kind !== "server_streaming") {
      try {
        this.#messageListener?.(message);
      } catch (error) {
        this.threw(error);
      }
    } else if (this.#onlyMessage === undefined) {
      this.#onlyMessage = message.slice();
    } else {
      this.fail(
        Code.INTERNAL,
        "cardinality violation: received multiple request messages for non-client-streaming RPC",
      );
    }
  }

  protected takeEnd(isPartial: boolean): void {
    const method = this.request.method as StreamingMethod;
    if (isPartial) {
      this.refuse(Code.INTERNAL, "unexpected EOF");
    } else if (method.kind !== "server_streaming") {
      this.#run(() => this.#halfCloseListener?.());
    } else if (this.#onlyMessage === undefined) {
      this.fail(Code.INTERNAL, "cardinality violation: received no request message from non-client-streaming RPC");
    } else {
      const request = this.#onlyMessage;
      this.#onlyMessage = undefined;
      this.#run(() => method.handle(this, request));
    }
  }

  #run(step: () => void | Promise<void>): void {
    try {
      const pending = step();
      if (GrpcCall.isPromise(pending)) pending.catch((error) => this.threw(error));
    } catch (error) {
      this.threw(error);
    }
  }
}
