//! A storm: every subscriber connects, is verified and subscribes, all as fast as the server lets them; then all
//! have gone, a hundred events pass, and all come back at once and resume.

use std::time::{Duration, Instant};

use crate::LoadError;
use crate::fleet::Fleet;
use crate::process::Server;
use crate::report::{Moment, Report, Span};
use crate::run::Subject;
use crate::scenario::Run;

/// What a client that comes back has missed.
const MISSED: usize = 100;
/// How long all of it may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure<'a>(run: &'a Run, subject: Subject<'_>) -> Result<Report<'a>, LoadError> {
    let Subject { peer, round, place, dialect } = subject;
    let server = Server::start(place, |port| dialect.launch(place, port))?;
    let nothing = hdrhistogram::Histogram::new(3).expect("three digits are allowed");
    let mut fleet = Fleet::new(run, dialect, server.address)?;
    fleet.open(0, |_| {})?;
    let moment = Moment::now(&server);
    fleet.open(run.connections, |_| {})?;
    let first = Span::since(&moment, &server);
    let (cpu_us, seconds) = (first.cpu_us, first.measured_s);
    drop(fleet);

    let mut fleet = Fleet::new(run, dialect, server.address)?;
    fleet.open(0, |_| {})?;
    let each = run.connections as f64;
    let report = Report::new((peer, round), run, first, run.connections as u64, &nothing)
        .figure("first_us_per_connection", cpu_us / each)
        .figure("first_s", seconds);
    let Some(resume) = dialect.resume(fleet.greeting()) else { return Ok(report) };
    let mut out = Vec::new();
    (0..MISSED).for_each(|number| dialect.publish(&mut out, &run.event(number)));
    fleet.publish(&out);
    fleet.say(resume);
    // What the end of the first storm costs is not the second's.
    server.rest();
    let moment = Moment::now(&server);
    let mut came = 0;
    fleet.open(run.connections, |_| came += 1)?;
    let until = Instant::now() + PATIENCE;
    while came < MISSED * run.connections && Instant::now() < until {
        fleet.turn(Some(Duration::from_millis(10)), |_| came += 1)?;
    }
    let second = Span::since(&moment, &server);
    Ok(report
        .figure("second_us_per_connection", second.cpu_us / each)
        .figure("second_s", second.measured_s)
        .figure("second_over_first", second.cpu_us / cpu_us)
        .figure("resumed_events", came as f64)
        .figure("owed_events", (MISSED * run.connections) as f64))
}
