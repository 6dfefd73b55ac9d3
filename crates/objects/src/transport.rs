//! The `object_store` crate's requests, carried by ureq: one HTTP stack and one TLS for all of rbuild.
//!
//! A request runs on a thread for blocking work, which then hands on the answer's body piece by piece, as fast as it
//! is taken.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use tokio::sync::{mpsc, oneshot};
use ureq::SendBody;
use ureq::http::header::CONTENT_LENGTH;
use ureq::http::{Request, Response};

use crate::web::Web;

/// How much of a body is handed on at once.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces may wait for being taken.
const PIECES_WAITING: usize = 4;

/// Makes clients that send through ureq.
#[derive(Debug, Clone)]
pub(crate) struct Connector(pub(crate) Arc<Web>);

impl HttpConnector for Connector {
    fn connect(&self, _: &object_store::ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(Arc::clone(&self.0))))
    }
}

#[derive(Debug)]
struct Service(Arc<Web>);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = Pieces::of(body).await?;
        let request = Request::from_parts(head, ());
        let web = Arc::clone(&self.0);
        let (answer, answered) = oneshot::channel();
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
        // Ends by itself, at the latest when a piece has nobody to take it.
        drop(tokio::task::spawn_blocking(move || {
            match exchange(&web, request, body) {
                Err(error) => drop(answer.send(Err(error))),
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    if answer.send(Ok(head)).is_ok() {
                        hand_on(body.into_reader(), &pieces);
                    }
                }
            }
        }));
        let gone = |_| HttpError::new(HttpErrorKind::Interrupted, io::Error::other("stopped"));
        let head = answered.await.map_err(gone)??;
        let body = HttpResponseBody::new(Incoming(waiting));
        Ok(Response::from_parts(head, body))
    }
}

fn exchange(
    web: &Web,
    request: Request<()>,
    mut body: Pieces,
) -> Result<Response<ureq::Body>, HttpError> {
    let agent = web.agent(request.uri());
    let (mut head, ()) = request.into_parts();
    let bodiless = body.length == 0 && (head.method == "GET" || head.method == "HEAD");
    let sent = if bodiless || (body.length == 0 && head.method == "DELETE") {
        agent.run(Request::from_parts(head, SendBody::none()))
    } else {
        head.headers.insert(CONTENT_LENGTH, body.length.into());
        agent.run(Request::from_parts(head, SendBody::from_reader(&mut body)))
    };
    sent.map_err(|error| HttpError::new(kind(&error), error))
}

fn hand_on(mut body: impl Read, pieces: &mpsc::Sender<Result<Bytes, HttpError>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let piece = match (&mut body).take(PIECE_BYTES as u64).read_to_end(&mut piece) {
            Ok(0) => return,
            Ok(_) => Ok(Bytes::from(piece)),
            Err(error) => Err(HttpError::new(HttpErrorKind::Interrupted, error)),
        };
        let last = piece.is_err();
        if pieces.blocking_send(piece).is_err() || last {
            return;
        }
    }
}

/// Which failures are worth a second try is decided by their kind.
fn kind(error: &ureq::Error) -> HttpErrorKind {
    match error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => HttpErrorKind::Connect,
            io::ErrorKind::TimedOut => HttpErrorKind::Timeout,
            // The certificate is not trusted.
            io::ErrorKind::InvalidData => HttpErrorKind::Unknown,
            _ => HttpErrorKind::Interrupted,
        },
        _ => HttpErrorKind::Unknown,
    }
}

/// A request's body, to be read from the front.
struct Pieces {
    length: usize,
    /// Those not yet read, the first one last.
    left: Vec<Bytes>,
}

impl Pieces {
    async fn of(mut body: HttpRequestBody) -> Result<Self, HttpError> {
        let length = body.content_length();
        let mut left = Vec::new();
        let next = |body: &mut HttpRequestBody, context: &mut Context<'_>| {
            Pin::new(body).poll_frame(context)
        };
        while let Some(frame) = std::future::poll_fn(|context| next(&mut body, context)).await {
            left.extend(frame?.into_data().ok());
        }
        left.reverse();
        Ok(Self { length, left })
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(first) = self.left.last_mut() {
            if first.is_empty() {
                self.left.pop();
                continue;
            }
            let count = first.len().min(buffer.len());
            buffer[..count].copy_from_slice(&first.split_to(count));
            return Ok(count);
        }
        Ok(0)
    }
}

/// An answer's body as it comes in.
struct Incoming(mpsc::Receiver<Result<Bytes, HttpError>>);

impl Body for Incoming {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = self.0.poll_recv(context);
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
