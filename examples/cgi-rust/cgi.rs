//! The same program as ../cgi-c/cgi.c, on Rust's standard library alone.
use std::env;
use std::io::{self, Read, Write};

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout());
    let (method, query) = (variable("REQUEST_METHOD"), variable("QUERY_STRING"));
    if method == "POST" || method == "PUT" {
        let mut body = Vec::new();
        io::stdin().read_to_end(&mut body)?;
        write!(out, "Content-Type: application/octet-stream\n\n")?;
        out.write_all(&body)?;
    } else if let Some(bytes) = query.strip_prefix("bytes=") {
        let count: usize = bytes.parse().unwrap_or(0);
        write!(out, "Content-Type: text/plain\n\n")?;
        let body: Vec<u8> = (0..count).map(|i| b'a' + (i % 26) as u8).collect();
        out.write_all(&body)?;
    } else {
        eprintln!("asked for {}", variable("REQUEST_URI"));
        write!(out, "Content-Type: text/plain; charset=utf-8\nSet-Cookie: language=rust\nSet-Cookie: seen=1\n\n")?;
        writeln!(out, "Grüße aus Rust: {} {}", method, variable("PATH_INFO"))?;
    }
    out.flush()
}
