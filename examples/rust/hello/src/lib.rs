//! Greets, counts its visitors in the site's store, and panics when asked to.
use terrafirma_guest::{guest_app_kvs, header, KvStore, Request, Response};

fn hello(store: &mut KvStore, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let path = request.uri().path();
    if path.ends_with("/panic") {
        panic!("asked to, by {}", request.method());
    }
    if path.ends_with("/count") {
        store.append("visitors", b"+");
        let visitors = store.get("visitors").map_or(0, |marks| marks.len());
        return Response::new(format!("visitor {}\n", visitors).into_bytes());
    }
    if path.ends_with("/echo") {
        return Response::new(request.body().clone());
    }
    Response::builder()
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::SET_COOKIE, "language=rust")
        .header(header::SET_COOKIE, "seen=1")
        .body(format!("Grüße aus Rust: {} {}\n", request.method(), request.uri()).into_bytes())
        .expect("headers that are headers")
}

guest_app_kvs!(hello);
