//! Fetches a page, `?url=http://…`, and answers with its title and its links. `&url=` again fetches several at
//! the same time.
use terrafirma_guest::{guest_app, header, select, Request, Response, Send, StatusCode};

/// What lies between `from` and `to`, and the rest behind it.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<(&'a str, &'a str)> {
    let start = text.find(from)? + from.len();
    let end = start + text[start..].find(to)?;
    Some((&text[start..end], &text[end + to.len()..]))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, digits.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn summary(page: &str) -> String {
    let title = between(page, "<title>", "</title>").map_or("(no title)", |(title, _)| title.trim());
    let mut text = format!("{}\n", title);
    let mut rest = page;
    while let Some((link, behind)) = between(rest, "href=\"", "\"") {
        text.push_str(&format!("- {}\n", link));
        rest = behind;
    }
    text
}

fn answer(status: StatusCode, text: String) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(text.into_bytes())
        .expect("headers that are headers")
}

fn scrape(request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let query = request.uri().query().unwrap_or("");
    let urls = query.split('&').filter_map(|pair| pair.strip_prefix("url=")).map(decoded);
    let mut pending = Vec::new();
    for url in urls {
        let sent = Request::get(&url).body(Vec::new()).ok().and_then(|page| page.send_async().ok());
        match sent {
            Some(one) => pending.push(one),
            None => return answer(StatusCode::BAD_REQUEST, format!("{}: not to be fetched\n", url)),
        }
    }
    if pending.is_empty() {
        return answer(StatusCode::BAD_REQUEST, "usage: ?url=http://…\n".to_string());
    }
    let mut text = String::new();
    while let Some(page) = select(&mut pending) {
        match page {
            Ok(page) => text.push_str(&summary(&String::from_utf8_lossy(page.body()))),
            Err(error) => return answer(StatusCode::BAD_GATEWAY, format!("{}\n", error)),
        }
    }
    answer(StatusCode::OK, text)
}

guest_app!(scrape);
