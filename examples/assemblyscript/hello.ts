// Greets; returns what is posted, in capitals; aborts when asked to.
import { body, debug, header, method, path, respond, setHeader } from "./terrafirma";
export { default_malloc_impl, default_free_impl } from "./terrafirma";

export function run(): void {
  const asked = path();
  if (asked.endsWith("/abort")) throw new Error("asked to");
  setHeader("content-type", "text/plain; charset=utf-8");
  if (method() == "POST") {
    respond(200, body().toUpperCase());
    return;
  }
  const agent = header("user-agent");
  debug(`asked for ${asked}`);
  respond(200, `Grüße aus AssemblyScript: ${asked}, ${agent === null ? "nobody" : agent}\n`);
}
