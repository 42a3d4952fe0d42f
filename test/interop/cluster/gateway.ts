const TIMEOUT_MS = 5_000;

/** Calls a method over the JSON gateway, which every member has. Throws with the status and text of the answer if it is an error. */
export async function gateway<Answer>(clientUrl: string, path: string, request: unknown): Promise<Answer> {
  const answer = await fetch(`${clientUrl}/v3/${path}`, {
    method: "POST",
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${clientUrl}/v3/${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as Answer;
}
