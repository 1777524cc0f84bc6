//! A server that is wrong on purpose: it passes requests on to a real one and alters the answers.
//!
//! It shows that the comparison can fail. It closes the connection after each answer and carries no streams.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// What it does to an answer, bytes in, bytes out.
pub type Lie = fn(String) -> String;

/// Listens on a loopback port and answers what `server` answers, altered by `lie`. Ends with the process.
pub fn start(server: SocketAddr, lie: Lie) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap_or_else(|error| panic!("no port: {error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that goes away is no concern of ours.
            let _ = relay(client, server, lie);
        }
    });
    address
}

fn relay(mut client: TcpStream, server: SocketAddr, lie: Lie) -> std::io::Result<()> {
    let request = read_request(&mut client)?;
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(&closing(&request))?;
    let mut answer = String::new();
    upstream.read_to_string(&mut answer)?;
    let answer = lie(answer.replace("Connection: close\r\n", ""));
    client.write_all(with_true_length(&answer).as_bytes())
}

fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let length = client.read(&mut chunk)?;
        request.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= announced.and_then(|it| it.parse().ok()).unwrap_or(0) {
                return Ok(request);
            }
        }
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn closing(request: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(request).replacen("\r\n", "\r\nConnection: close\r\n", 1).into_bytes()
}

/// A lie must not be found out by its length only.
fn with_true_length(answer: &str) -> String {
    let Some((head, body)) = answer.split_once("\r\n\r\n").filter(|(_, body)| !body.is_empty())
    else {
        return answer.to_owned();
    };
    let lines = head.split("\r\n").map(|line| match line.strip_prefix("Content-Length: ") {
        Some(_) => format!("Content-Length: {}", body.len()),
        None => line.to_owned(),
    });
    format!("{}\r\n\r\n{body}", lines.collect::<Vec<_>>().join("\r\n"))
}
