//! Publishing over HTTP: connections that each keep so many requests on their way, one event or a batch in each,
//! and nobody who subscribes. What is counted are events that the server has answered for.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::LoadError;
use crate::dialect::{Dialect, Event};
use crate::http::Responses;
use crate::process::{Server, would_block};
use crate::report::{Moment, Report, Span};
use crate::run::Subject;
use crate::scenario::{Http, Run};

struct Publisher {
    stream: TcpStream,
    responses: Responses,
    unsent: Vec<u8>,
    /// When each request that is not yet answered was sent, the oldest first.
    asked: VecDeque<Instant>,
    /// Whether anything was ever asked on it.
    served: bool,
}

/// All publishers of a run.
struct Publishers<'a> {
    run: &'a Run,
    http: Http,
    dialect: &'a dyn Dialect,
    address: SocketAddr,
    poll: Poll,
    publishers: Vec<Publisher>,
    /// Events sent, and answered for.
    sent: usize,
    published: u64,
    refused: Option<u16>,
    latency: Histogram<u64>,
    buffer: Vec<u8>,
}

pub(crate) fn measure<'a>(run: &'a Run, subject: Subject<'_>) -> Result<Report<'a>, LoadError> {
    let Subject { peer, round, place, dialect } = subject;
    let http = run.http.ok_or_else(|| LoadError::Peer("the run does not say how it publishes".to_owned()))?;
    if !dialect.request(&mut Vec::new(), &[run.event(0)], true) {
        return Err(LoadError::Peer(format!("{} takes no events over HTTP here", peer.as_str())));
    }
    let server = Server::start(place, |port| dialect.launch(place, port))?;
    let mut publishers = Publishers {
        run,
        http,
        dialect,
        address: server.address,
        poll: Poll::new().map_err(LoadError::system("polling"))?,
        publishers: Vec::new(),
        sent: 0,
        published: 0,
        refused: None,
        latency: Histogram::new(3).expect("three digits are allowed"),
        buffer: vec![0; 1 << 16],
    };
    for index in 0..http.publishers {
        let publisher = publishers.connect(index).map_err(LoadError::system("connecting"))?;
        publishers.publishers.push(publisher);
    }
    publishers.go_on(Duration::from_secs_f64(run.warm_up))?;
    publishers.published = 0;
    publishers.latency.reset();
    let moment = Moment::now(&server);
    publishers.go_on(Duration::from_secs_f64(run.seconds))?;
    let span = Span::since(&moment, &server);
    let per_cpu_s = publishers.published as f64 / (span.cpu_us / 1e6);
    Ok(Report::new((peer, round), run, span, publishers.published, &publishers.latency)
        .figure("events_per_cpu_s", per_cpu_s))
}

impl Publishers<'_> {
    fn connect(&self, index: usize) -> io::Result<Publisher> {
        let stream = std::net::TcpStream::connect(self.address)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        Ok(Publisher {
            stream,
            responses: Responses::default(),
            unsent: Vec::new(),
            asked: VecDeque::new(),
            served: false,
        })
    }

    fn go_on(&mut self, span: Duration) -> Result<(), LoadError> {
        let until = Instant::now() + span;
        let mut events = Events::with_capacity(1024);
        (0..self.publishers.len()).try_for_each(|index| self.serve(index))?;
        while Instant::now() < until {
            match self.poll.poll(&mut events, Some(Duration::from_millis(50))) {
                Err(error) if !would_block(&error) => return Err(LoadError::system("polling")(error)),
                _ => {}
            }
            events.iter().try_for_each(|event| self.serve(event.token().0))?;
            if let Some(status) = self.refused {
                return Err(LoadError::Peer(format!("a publish was answered with {status}")));
            }
        }
        Ok(())
    }

    /// Reads what has come, and asks again.
    fn serve(&mut self, index: usize) -> Result<(), LoadError> {
        let ended = self.receive(index).map_err(LoadError::system("reading"))?;
        if ended {
            self.publishers[index] = self.connect(index).map_err(LoadError::system("connecting"))?;
        }
        let Self { run, http, dialect, publishers, sent, .. } = self;
        let publisher = &mut publishers[index];
        let requests = if http.keep_alive { http.in_flight } else { usize::from(!publisher.served) };
        while publisher.asked.len() < requests {
            let events: Vec<Event> = (0..http.batch).map(|step| run.event(*sent + step)).collect();
            *sent += http.batch;
            dialect.request(&mut publisher.unsent, &events, http.keep_alive);
            publisher.asked.push_back(Instant::now());
            publisher.served = true;
        }
        publisher.flush().map_err(LoadError::system("writing"))
    }

    /// Takes the answers that have come, and gives whether the server has ended the connection.
    fn receive(&mut self, index: usize) -> io::Result<bool> {
        let Self { http, publishers, published, refused, latency, buffer, .. } = self;
        let publisher = &mut publishers[index];
        loop {
            let count = match publisher.stream.read(buffer) {
                Ok(count) => count,
                Err(error) if would_block(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            if count == 0 {
                return Ok(true);
            }
            let asked = &mut publisher.asked;
            publisher.responses.read(&buffer[..count], |status| {
                if !(200..300).contains(&status) {
                    *refused = Some(status);
                }
                *published += http.batch as u64;
                if let Some(asked) = asked.pop_front() {
                    let nanos = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    let _ = latency.record(nanos);
                }
            });
        }
    }
}

impl Publisher {
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
