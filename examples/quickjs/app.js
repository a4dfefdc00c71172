// What qjs.wasm serves: greets, returns what is posted with its letters turned round, fails when asked to.
function answer(request) {
  if (request.path === "/fail") throw new Error("asked to");
  if (request.method === "POST") return [...request.body].reverse().join("");
  if (request.path === "/bytes") return { body: "x".repeat(Number(request.query)) };
  print("asked for", request.path);
  return {
    status: 200,
    headers: { "content-type": "text/plain; charset=utf-8", "x-query": request.query },
    body: `Grüße aus JavaScript: ${request.method} ${request.path}\n`,
  };
}
