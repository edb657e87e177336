//! Servers as processes: started, pinned to a processor, read from `/proc`, ended.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::LoadError;

/// How long a server may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that has done nothing for so long rests.
const REST: Duration = Duration::from_millis(100);

/// Where servers run.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The server's processor; the load has the next.
    pub(crate) processor: usize,
    /// The binary `tidings`.
    pub(crate) tidings: Option<PathBuf>,
    /// The scripts of peers that are libraries.
    pub(crate) peers: PathBuf,
    /// A command that servers run under.
    pub(crate) under: String,
}

impl Place {
    /// Where the files that a server is configured with are written.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("tidings-load-{}", process::id())).join(name)
    }
}

/// How a server is started.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// A file that it reads.
    pub(crate) file: Option<(PathBuf, String)>,
}

/// A binary in the folder of this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

/// Pins this process, and lets it have as many sockets as a scenario asks for.
pub(crate) fn prepare(place: &Place) -> Result<(), LoadError> {
    rlimit::increase_nofile_limit(u64::MAX).map_err(LoadError::system("the limit of open files"))?;
    pin((place.processor + 1) % processors().max(place.processor + 1))
}

/// Processors of the machine, whatever this process is pinned to.
pub(crate) fn processors() -> usize {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let each = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    each.count().max(1)
}

fn pin(processor: usize) -> Result<(), LoadError> {
    let mut set = CpuSet::new();
    set.set(processor)
        .and_then(|()| sched_setaffinity(Pid::this(), &set))
        .map_err(|error| LoadError::system("pinning to a processor")(error.into()))
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The process that serves: the child, or its child where it runs under another command.
    process: u32,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(place: &Place, launch: impl FnOnce(u16) -> Launch) -> Result<Self, LoadError> {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(LoadError::system("a free port"))?;
        let Launch { program, arguments, environment, file } = launch(address.port());
        if let Some((path, text)) = file {
            path.parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&path, text))
                .map_err(LoadError::system(path.display().to_string()))?;
        }
        let mut words = place.under.split_whitespace();
        let mut command = words.next().map_or_else(
            || Command::new(&program),
            |under| {
                let mut command = Command::new(under);
                command.args(words).arg(&program);
                command
            },
        );
        // A server counts its processors as it starts, and begins as many threads: it is born where it stays.
        pin(place.processor)?;
        let child = command
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(LoadError::system(program.display().to_string()));
        prepare(place)?;
        let child = child?;
        let mut server = Self { process: child.id(), child, address };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if until < Instant::now() || server.child.try_wait().is_ok_and(|status| status.is_some()) {
                return Err(LoadError::Peer(format!("{} does not listen", program.display())));
            }
            thread::sleep(Duration::from_millis(10));
        }
        server.process = served_by(server.child.id());
        Ok(server)
    }

    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process).unwrap_or(0))
    }

    /// Waits until it has nothing left to do.
    pub(crate) fn rest(&self) {
        let until = Instant::now() + PATIENCE;
        let mut before = self.usage().cpu;
        while Instant::now() < until {
            thread::sleep(REST);
            let cpu = self.usage().cpu;
            if cpu - before < REST / 100 {
                return;
            }
            before = cpu;
        }
    }

    /// What the process has cost so far.
    pub(crate) fn usage(&self) -> Usage {
        let path = format!("/proc/{}", self.process);
        let mut usage = Usage::default();
        for task in fs::read_dir(format!("{path}/task")).into_iter().flatten().flatten() {
            let task = task.path();
            let nanos = first_number(&fs::read_to_string(task.join("schedstat")).unwrap_or_default());
            usage.cpu += Duration::from_nanos(nanos);
            let status = fs::read_to_string(task.join("status")).unwrap_or_default();
            usage.waits += number_after(&status, "voluntary_ctxt_switches:");
            usage.preempted += number_after(&status, "nonvoluntary_ctxt_switches:");
        }
        let status = fs::read_to_string(format!("{path}/status")).unwrap_or_default();
        usage.resident = number_after(&status, "VmRSS:") * 1024;
        // Of the name in parentheses anything may be part; what follows it is numbers.
        let stat = fs::read_to_string(format!("{path}/stat")).unwrap_or_default();
        let mut ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
        let mut tick = || ticks.next().and_then(|ticks| ticks.parse().ok()).unwrap_or(0);
        (usage.user_ticks, usage.system_ticks) = (tick(), tick());
        usage
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGINT);
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = kill(self.pid(), Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs another keeps it as its only child.
fn served_by(process: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(process)
}

/// What a process has cost up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// On a processor, to the nanosecond.
    pub(crate) cpu: Duration,
    /// The same by sampling, in the program and in the kernel.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) resident: u64,
    /// How often it went to sleep.
    pub(crate) waits: u64,
    /// How often it was put to sleep.
    pub(crate) preempted: u64,
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn number_after(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, first_number)
}

/// The system's view of a call that would block.
pub(crate) fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
