//! The sockets: datagrams, and connections for what does not fit one.
//!
//! Invariant: what is under way is bounded, in number and in time; a datagram that finds no room is dropped, and its sender asks again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::Transport;
use super::desk::Desk;
use crate::store::Store;

/// A question is a name of at most 255 bytes and some options; what is longer is cut, and cannot be read then.
const QUESTION_BYTES_MAX: usize = 2048;
/// Datagrams that are being answered: as many as wait for a store in two seconds at a few hundred a second.
const DATAGRAMS_MAX: usize = 512;
/// A connection without a whole question for so long is closed, so are those that do not take their answer.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(10);
/// A connection that keeps asking is closed after so long: who needs a few answers has them, and nobody holds a place for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);
/// After the system refused to receive or to accept.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("--dns-listen={address}: {error}")]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

/// The two sockets of one address.
pub struct Sockets {
    datagrams: UdpSocket,
    connections: TcpListener,
}

impl Sockets {
    /// Listens on both, on the same port.
    ///
    /// # Errors
    /// The port is in use, or needs a permission.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |error| BindError { address, error };
        let datagrams = UdpSocket::bind(address).await.map_err(failed)?;
        let same = datagrams.local_addr().map_err(failed)?;
        let connections = TcpListener::bind(same).await.map_err(failed)?;
        tracing::info!(address = %same, "ready to answer DNS");
        Ok(Self { datagrams, connections })
    }

    /// Answers until the tasks are ended.
    pub fn serve<S: Store>(self, desk: &Arc<Desk<S>>) -> [JoinHandle<()>; 2] {
        [
            tokio::spawn(answer_datagrams(self.datagrams, Arc::clone(desk))),
            tokio::spawn(accept(self.connections, Arc::clone(desk))),
        ]
    }
}

async fn answer_datagrams<S: Store>(socket: UdpSocket, desk: Arc<Desk<S>>) {
    let socket = Arc::new(socket);
    let places = Arc::new(Semaphore::new(DATAGRAMS_MAX));
    let mut buffer = vec![0; QUESTION_BYTES_MAX];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "no datagram was received");
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let question = buffer.get(..length).unwrap_or_default().to_vec();
        let (socket, desk) = (Arc::clone(&socket), Arc::clone(&desk));
        tokio::spawn(async move {
            let answer = desk.answer(&question, from.ip(), Transport::Udp).await;
            if let Some(answer) = answer {
                // Who sent it may be gone: nobody is to be told.
                let _ = socket.send_to(&answer, from).await;
            }
            drop(place);
        });
    }
}

async fn accept<S: Store>(listener: TcpListener, desk: Arc<Desk<S>>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some(place) = desk.place(from.ip()) else { continue };
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    // It ends when the other side goes away, asks nothing, asks too much, or for too long.
                    let _ = timeout(CONNECTION_LIFE, converse(stream, from, &desk)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection was accepted");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Answers the questions of a connection one after the other.
async fn converse<S: Store>(
    mut stream: TcpStream,
    from: SocketAddr,
    desk: &Desk<S>,
) -> io::Result<()> {
    loop {
        let question = timeout(CONNECTION_PATIENCE, read_question(&mut stream)).await??;
        let Some(answer) = desk.answer(&question, from.ip(), Transport::Tcp).await else {
            return Ok(());
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(&answer);
        timeout(CONNECTION_PATIENCE, stream.write_all(&message)).await??;
    }
}

/// A question with its length before it.
async fn read_question(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > QUESTION_BYTES_MAX {
        return Err(io::Error::other("this is no question"));
    }
    let mut question = vec![0; length];
    stream.read_exact(&mut question).await?;
    Ok(question)
}
