//! One connected socket, TCP or unix, before or after protection by TLS.
//!
//! A closed enum and not a boxed trait object, so that each read and write is a direct call. Under TLS a write may leave
//! bytes behind that only a flush pushes out ([`Stream::is_buffered`]); a plain socket has no such bytes.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::tls::Session;

/// After this long without traffic the kernel asks whether the other host still lives.
const TCP_KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// How long the kernel waits between two such questions.
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Unanswered questions after which the connection is dead: 15 s + 3 * 5 s = 30 s in all.
const TCP_KEEPALIVE_PROBES: u32 = 3;

/// A connected byte stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// Either of them under TLS, never TLS again. Boxed: its state is large, and most connections have none.
    Tls(Box<Session>),
}

/// The reading half of a [`Stream`].
#[derive(Debug)]
pub enum ReadHalf {
    /// TCP.
    Tcp(tcp::OwnedReadHalf),
    /// A unix socket.
    Unix(unix::OwnedReadHalf),
    /// One of them under TLS. Both halves share one session.
    Tls(tokio::io::ReadHalf<Box<Session>>),
}

/// The writing half of a [`Stream`].
#[derive(Debug)]
pub enum WriteHalf {
    /// TCP.
    Tcp(tcp::OwnedWriteHalf),
    /// A unix socket.
    Unix(unix::OwnedWriteHalf),
    /// One of them under TLS. Both halves share one session.
    Tls(tokio::io::WriteHalf<Box<Session>>),
}

/// What a look at the receiving side of a socket tells about the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FarEnd {
    /// It has closed its sending side, or the connection is broken.
    Gone,
    /// It has sent bytes that nobody has read yet.
    Unread {
        /// After which it closed its sending side, or the connection broke.
        is_gone: bool,
    },
}

impl Stream {
    /// Sets what every connection needs: no delay for small writes, and a kernel that notices a dead host.
    ///
    /// # Errors
    /// When the socket is already broken.
    pub fn tune(&self) -> io::Result<()> {
        if let Self::Tcp(tcp) = self.socket() {
            tcp.set_nodelay(true)?;
            sockopt::set_socket_keepalive(tcp, true)?;
            sockopt::set_tcp_keepidle(tcp, TCP_KEEPALIVE_IDLE)?;
            sockopt::set_tcp_keepintvl(tcp, TCP_KEEPALIVE_INTERVAL)?;
            sockopt::set_tcp_keepcnt(tcp, TCP_KEEPALIVE_PROBES)?;
        }
        Ok(())
    }

    /// Lets the kernel break the connection when sent bytes stay unacknowledged for `limit`. No effect on unix sockets.
    ///
    /// # Errors
    /// When the socket is already broken.
    pub fn limit_unacknowledged(&self, limit: Duration) -> io::Result<()> {
        if let Self::Tcp(tcp) = self.socket() {
            let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
            sockopt::set_tcp_user_timeout(tcp, millis)?;
        }
        Ok(())
    }

    /// The address of the other end; `None` for unix sockets.
    #[must_use]
    pub fn far_address(&self) -> Option<SocketAddr> {
        match self.socket() {
            Self::Tcp(tcp) => tcp.peer_addr().ok(),
            Self::Unix(_) | Self::Tls(_) => None,
        }
    }

    /// Whether written bytes may wait for a flush.
    #[must_use]
    pub fn is_buffered(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the two ends agreed on HTTP/2 when they protected the connection.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.protocol() == Some(b"h2"),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }

    /// The first byte that the other end sent, which stays unread; `None` if it hung up before it sent any.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0u8; 1];
        let peeked = match self {
            Self::Tcp(tcp) => {
                tcp.async_io(Interest::READABLE, || peek_at(tcp.as_fd(), &mut byte)).await?
            }
            Self::Unix(unix) => {
                unix.async_io(Interest::READABLE, || peek_at(unix.as_fd(), &mut byte)).await?
            }
            Self::Tls(_) => return Ok(None),
        };
        Ok((peeked > 0).then_some(byte[0]))
    }

    /// The socket, below TLS.
    fn socket(&self) -> &Self {
        match self {
            Self::Tls(tls) => tls.raw(),
            plain => plain,
        }
    }

    /// Two halves that may be used from two tasks.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(tcp) => {
                let (read, write) = tcp.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Self::Unix(unix) => {
                let (read, write) = unix.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
            Self::Tls(tls) => {
                let (read, write) = tokio::io::split(tls);
                (ReadHalf::Tls(read), WriteHalf::Tls(write))
            }
        }
    }

    /// Ready when there is something to say about the other end, without taking a byte away from the reader.
    pub(crate) fn poll_far_end(&mut self, cx: &mut Context<'_>) -> Poll<FarEnd> {
        loop {
            let readiness = match self {
                Self::Tcp(tcp) => ready!(tcp.poll_read_ready(cx)),
                Self::Unix(unix) => ready!(unix.poll_read_ready(cx)),
                Self::Tls(tls) => {
                    // Bytes on the socket may be no more than a message of the protocol's own: only the session knows.
                    if !ready!(tls.poll_has_unread(cx)) {
                        return Poll::Ready(FarEnd::Gone);
                    }
                    return Poll::Ready(FarEnd::Unread { is_gone: self.is_hung_up() });
                }
            };
            if readiness.is_err() {
                return Poll::Ready(FarEnd::Gone);
            }
            // `try_io` clears the readiness when the peek would block, so the next turn waits.
            let peeked = match self {
                Self::Tcp(tcp) => tcp.try_io(Interest::READABLE, || peek(tcp.as_fd())),
                Self::Unix(unix) => unix.try_io(Interest::READABLE, || peek(unix.as_fd())),
                Self::Tls(_) => return Poll::Ready(FarEnd::Gone),
            };
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) | Ok(0) => return Poll::Ready(FarEnd::Gone),
                // Unread bytes hide the end of the stream from a peek, not from poll(2).
                Ok(_) => return Poll::Ready(FarEnd::Unread { is_gone: self.is_hung_up() }),
            }
        }
    }

    fn is_hung_up(&self) -> bool {
        let fd = match self.socket() {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
            Self::Tls(_) => return false,
        };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut fds = [PollFd::from_borrowed_fd(fd, gone)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match rustix::event::poll(&mut fds, Some(&at_once)) {
            Ok(_) => fds.iter().any(|fd| fd.revents().intersects(gone)),
            Err(_) => false,
        }
    }
}

impl WriteHalf {
    /// Whether written bytes may wait for a flush.
    #[must_use]
    pub fn is_buffered(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

fn peek(fd: BorrowedFd<'_>) -> io::Result<usize> {
    peek_at(fd, &mut [0u8; 1])
}

fn peek_at(fd: BorrowedFd<'_>, byte: &mut [u8; 1]) -> io::Result<usize> {
    let (peeked, _) = rustix::net::recv(fd, byte, RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    Ok(peeked)
}

/// Forwards `AsyncRead` to whichever variant it is.
macro_rules! forward_read {
    ($name:ident) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
                    Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
                    Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
                }
            }
        }
    };
}

/// Forwards `AsyncWrite` to whichever variant it is.
macro_rules! forward_write {
    ($name:ident) => {
        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
                    Self::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
                    Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
                    Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
                    Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
                }
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
                    Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
                    Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
                    Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
                    Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
                }
            }
        }
    };
}

forward_read!(Stream);
forward_read!(ReadHalf);
forward_write!(Stream);
forward_write!(WriteHalf);
