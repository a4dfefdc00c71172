// The host's calls for AssemblyScript: bytes and addresses, as in ../include/terrafirma/guest.h, and what makes strings
// of them. Build with `--runtime stub --use abort=terrafirma/failed`.

@external("env", "hostcall_panic_hook") declare function panicHook(text: usize, length: usize): void;
@external("env", "hostcall_debug") declare function debugCall(text: usize, length: usize): void;
@external("env", "hostcall_req_get_method") declare function getMethod(at: usize, length: usize, request: i32): void;
@external("env", "hostcall_req_get_path") declare function getPath(at: usize, length: usize, request: i32): void;
@external("env", "hostcall_req_get_body") declare function getBody(at: usize, length: usize, request: i32): void;
@external("env", "hostcall_req_get_header")
declare function getHeader(at: usize, count: usize, request: i32, name: usize, length: usize): void;
@external("env", "hostcall_resp_set_response_code") declare function setStatus(response: i32, code: i32): i32;
@external("env", "hostcall_resp_set_header")
declare function setHeaderCall(response: i32, name: usize, length: usize, values: usize, count: usize): i32;
@external("env", "hostcall_resp_set_body")
declare function setBody(response: i32, body: usize, length: usize): i32;

// Where the host leaves what it returns: an address and a length, or a list's.
const found = memory.data(8);
// One slice that the host reads: an address and a length.
const slice = memory.data(8);

// The host finds the allocator by these names. Nothing is given back before the request is over.
export function default_malloc_impl(size: usize): usize {
  return heap.alloc(size);
}

export function default_free_impl(at: usize): void {
  heap.free(at);
}

// What `abort` does: the message goes to the function's log, the client gets a 502.
export function failed(message: string | null, file: string | null, line: u32, column: u32): void {
  const text = String.UTF8.encode(
    `${message === null ? "abort" : message} (${file === null ? "?" : file}:${line}:${column})`);
  panicHook(changetype<usize>(text), text.byteLength);
  unreachable();
}

function text(): string {
  return String.UTF8.decodeUnsafe(load<usize>(found), load<usize>(found, 4));
}

export function method(): string {
  getMethod(found, found + 4, 0);
  return text();
}

// The path and the query.
export function path(): string {
  getPath(found, found + 4, 0);
  return text();
}

export function body(): string {
  getBody(found, found + 4, 0);
  return text();
}

// The first value of a header; null where there is none.
export function header(name: string): string | null {
  const bytes = String.UTF8.encode(name);
  getHeader(found, found + 4, 0, changetype<usize>(bytes), bytes.byteLength);
  if (load<usize>(found, 4) == 0) return null;
  const first = load<usize>(found);
  return String.UTF8.decodeUnsafe(load<usize>(first), load<usize>(first, 4));
}

export function setHeader(name: string, value: string): void {
  const nameBytes = String.UTF8.encode(name);
  const valueBytes = String.UTF8.encode(value);
  store<usize>(slice, changetype<usize>(valueBytes));
  store<usize>(slice, valueBytes.byteLength, 4);
  setHeaderCall(0, changetype<usize>(nameBytes), nameBytes.byteLength, slice, 1);
}

export function respond(status: i32, body: string): void {
  const bytes = String.UTF8.encode(body);
  setStatus(0, status);
  setBody(0, changetype<usize>(bytes), bytes.byteLength);
}

export function debug(text: string): void {
  const bytes = String.UTF8.encode(text);
  debugCall(changetype<usize>(bytes), bytes.byteLength);
}
