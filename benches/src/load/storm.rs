//! A storm: every subscriber connects, is verified and subscribes, all as fast as the server lets them. Then all
//! have gone and come back at once to resume: where they left off, and once more with a hundred events behind, so
//! that what it costs to come back is told apart from what it costs to be told what was missed.

use std::time::{Duration, Instant};

use crate::LoadError;
use crate::fleet::Fleet;
use crate::process::Server;
use crate::report::{Moment, Report, Span};
use crate::run::Subject;
use crate::scenario::Run;

/// What a client that comes back late has missed.
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

    let each = run.connections as f64;
    let report = Report::new((peer, round), run, first, run.connections as u64, &nothing)
        .figure("first_us_per_connection", cpu_us / each)
        .figure("first_s", seconds);
    let Some((in_time, _)) = come_back(run, subject, &server, 0)? else { return Ok(report) };
    let Some((late, came)) = come_back(run, subject, &server, MISSED)? else { return Ok(report) };
    Ok(report
        .figure("in_time_us_per_connection", in_time.cpu_us / each)
        .figure("in_time_over_first", in_time.cpu_us / cpu_us)
        .figure("second_us_per_connection", late.cpu_us / each)
        .figure("second_s", late.measured_s)
        .figure("second_over_first", late.cpu_us / cpu_us)
        .figure("resumed_events", came as f64)
        .figure("owed_events", (MISSED * run.connections) as f64))
}

/// All come back and resume, behind by so many events, and have what they are owed; nothing where a peer remembers
/// nothing. Says what it cost, and how many events came.
fn come_back(
    run: &Run,
    Subject { dialect, .. }: Subject<'_>,
    server: &Server,
    missed: usize,
) -> Result<Option<(Span, usize)>, LoadError> {
    let mut fleet = Fleet::new(run, dialect, server.address)?;
    fleet.open(0, |_| {})?;
    let Some(resume) = dialect.resume(fleet.greeting()) else { return Ok(None) };
    let mut out = Vec::new();
    (0..missed).for_each(|number| dialect.publish(&mut out, &run.event(number)));
    fleet.publish(&out);
    fleet.say(resume);
    // What the end of the storm before costs is not this one's.
    server.rest();
    let moment = Moment::now(server);
    let mut came = 0;
    fleet.open(run.connections, |_| came += 1)?;
    let until = Instant::now() + PATIENCE;
    while came < missed * run.connections && Instant::now() < until {
        fleet.turn(Some(Duration::from_millis(10)), |_| came += 1)?;
    }
    Ok(Some((Span::since(&moment, server), came)))
}
