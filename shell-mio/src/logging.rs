//! Logs: one line an event, to standard error or a file, from a thread of its own. A full disk, a closed or a
//! stuck terminal cost lines, which are counted, and never a panic or a wait in the loop.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::settings::{Log, LogFormat, LogLevel};

/// Lines that wait for the writer; past it they are dropped.
const WAITING_LINES: usize = 4_096;
/// How long the end of the process waits for lines that are not yet written.
const LAST_LINES: Duration = Duration::from_millis(500);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines that were lost since the start: the writer was behind, or writing failed.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The log could not be opened.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    /// The file of `log.file`.
    #[error("log.file = {path}: {error}")]
    File {
        /// Its path.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The thread that writes.
    #[error("the thread that writes logs cannot start: {0}")]
    Thread(io::Error),
}

/// Keeps the log open; dropping it waits a moment for the last lines.
#[derive(Debug)]
pub(crate) struct Logging {
    lines: Lines,
    end: Receiver<()>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        // A writer that is stuck must not keep the process alive.
        if self.lines.0.try_send(Message::End).is_ok() {
            let _ = self.end.recv_timeout(LAST_LINES);
        }
    }
}

/// Sends what `tracing` events say to where `log` says.
///
/// # Errors
/// Where the file cannot be opened or the writer's thread cannot start.
pub(crate) fn start(log: &Log) -> Result<Logging, LogError> {
    let to_terminal = log.file.is_none() && io::stderr().is_terminal();
    let target: Box<dyn Write + Send> = match &log.file {
        None => Box::new(io::stderr()),
        Some(path) => match OpenOptions::new().create(true).append(true).open(&path.0) {
            Ok(file) => Box::new(file),
            Err(error) => return Err(LogError::File { path: path.to_string(), error }),
        },
    };
    let logging = start_writer(target)?;
    let as_text = match log.format {
        LogFormat::Auto => to_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let format = tracing_subscriber::fmt::layer()
        .with_writer(logging.lines.clone())
        .with_ansi(to_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
        .log_internal_errors(false);
    // Only our own events: libraries log heads and messages, and with them tokens.
    let ours =
        Targets::new().with_target("tidings", level(log.level)).with_target("tidings_core", level(log.level));
    let registry = tracing_subscriber::registry();
    // A second start in one process keeps the first; only tests do that.
    let _ = if as_text {
        tracing::subscriber::set_global_default(registry.with(format.with_target(false).with_filter(ours)))
    } else {
        let json = format.json().flatten_event(true).with_current_span(false).with_span_list(false);
        tracing::subscriber::set_global_default(registry.with(json.with_filter(ours)))
    };
    Ok(logging)
}

const fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn start_writer(mut target: Box<dyn Write + Send>) -> Result<Logging, LogError> {
    let (lines, waiting) = sync_channel(WAITING_LINES);
    let (ended, end) = sync_channel(1);
    let write = move || {
        for message in waiting {
            match message {
                Message::Line(line) => {
                    if target.write_all(&line).and_then(|()| target.flush()).is_err() {
                        DROPPED.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Message::End => {
                    let _ = ended.try_send(());
                    return;
                }
            }
        }
    };
    thread::Builder::new().name("tidings-log".to_owned()).spawn(write).map_err(LogError::Thread)?;
    Ok(Logging { lines: Lines(lines), end })
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    End,
}

/// Hands lines to the writer's thread.
#[derive(Clone, Debug)]
struct Lines(SyncSender<Message>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, bytes: Vec::new() }
    }
}

/// One line; handed over when it is dropped, so that writing it never fails.
#[derive(Debug)]
struct Line<'a> {
    lines: &'a Lines,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let line = Message::Line(std::mem::take(&mut self.bytes));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.lines.0.try_send(line) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Fails, as a full disk does.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Clone)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Blocks until the other end of the channel is dropped, as a stuck terminal does.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write_line(logging: &Logging, text: &str) {
        logging.lines.make_writer().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn lines_are_written_in_order_before_the_log_closes() {
        let shared = Shared(Arc::default());
        let logging = start_writer(Box::new(shared.clone())).unwrap();
        for number in 0..100 {
            write_line(&logging, &format!("{number}\n"));
        }
        drop(logging);
        let written = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 100);
        assert!(written.starts_with("0\n1\n2\n"));
    }

    #[test]
    fn a_full_disk_and_a_stuck_terminal_cost_lines_and_never_block() {
        let before = dropped();
        let logging = start_writer(Box::new(Full)).unwrap();
        write_line(&logging, "lost\n");
        drop(logging);
        assert!(before < dropped());

        let (release, stuck) = sync_channel(0);
        let logging = start_writer(Box::new(Stuck(stuck))).unwrap();
        let before = dropped();
        for _ in 0..WAITING_LINES + 10 {
            write_line(&logging, "waiting\n");
        }
        assert!(before + 9 <= dropped());
        drop(release);
    }

    #[test]
    fn a_peer_cannot_forge_a_line() {
        let shared = Shared(Arc::default());
        let logging = start_writer(Box::new(shared.clone())).unwrap();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(logging.lines.clone());
        let forged = "x\n2026-01-01T00:00:00Z  INFO forged\u{1b}[31m";
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(user = forged, "connected");
        });
        drop(logging);
        let written = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 1, "{written}");
        assert!(!written.contains('\u{1b}'), "{written:?}");
    }
}
