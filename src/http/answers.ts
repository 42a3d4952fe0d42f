/** Plain answers as Go's net/http gives them. */

/** http.Error: the text, a line break, and no guessing of types. */
export function textError(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "x-content-type-options": "nosniff",
      "content-length": String(new TextEncoder().encode(text).length + 1),
      ...headers,
    },
  });
}

export function notFound(): Response {
  return textError(404, "404 page not found");
}

export function methodNotAllowed(): Response {
  return textError(405, "Method Not Allowed", { allow: "GET" });
}

export function textResponse(text: string, headers: Record<string, string>): Response {
  return new Response(text, {
    headers: { "content-length": String(new TextEncoder().encode(text).length), ...headers },
  });
}

/** http.ServeMux's answer to a path that has a cleaner form, which is never served under the other. */
export function redirect(method: string, location: string): Response {
  const hasBody = method === "GET" || method === "HEAD";
  const body = hasBody ? `<a href="${htmlEscaped(location)}">Temporary Redirect</a>.\n\n` : "";
  const headers = new Headers({ location, "content-length": String(new TextEncoder().encode(body).length) });
  if (hasBody) headers.set("content-type", "text/html; charset=utf-8");
  return new Response(hasBody ? body : null, { status: 307, headers });
}

/** path.Clean with the last slash kept, as http.ServeMux does it. */
export function cleanPath(path: string): string {
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") kept.pop();
    else kept.push(part);
  }
  const clean = `/${kept.join("/")}`;
  return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean;
}

function htmlEscaped(text: string): string {
  const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => escapes[character]);
}
