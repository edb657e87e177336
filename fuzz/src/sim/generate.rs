//! Makes scenarios: which faults, which configuration, who, and what happens when.
//!
//! Each scenario draws a subset of the faults and bounds of its own (swarm testing, Groce et al. 2012), so
//! that rare combinations happen. Most are small, because millions are run; a few are large.

use std::time::Duration;

use super::draw::Draw;
use super::scenario::{
    Action, Fault, LogProfile, Network, PerFault, PollStyle, Population, Scenario, Settings, Step, Who,
};
use super::{tuning, wishes};

/// How much happens in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Mostly little, now and then much.
    Any,
    /// So little that a fuzzer tries hundreds a second; nothing but the amounts is left out.
    Small,
    /// What happens in so long a time.
    Long(Duration),
}

/// A scenario out of `draw`.
pub(crate) fn scenario(seed: u64, draw: &mut Draw<'_>, scale: Scale) -> Scenario {
    let size = Size::draw(draw, scale);
    let faults = faults(draw);
    let population = population(draw, &size);
    let users = u16::try_from(draw.range(1, u64::from(population.apps.max(2)))).unwrap_or(1);
    let settings = Settings {
        config: tuning::config(draw, population, &faults, matches!(scale, Scale::Long(_))),
        hubs: hubs(draw, &faults),
        users,
        population,
        faults,
        network: network(draw, size.crowd),
        poll: poll_style(draw),
        log: LogProfile {
            hole_max: *draw.pick(&[0, 0, 1, 5, 1000]),
            retained: *draw.pick(&[0, 3, 50, 10_000, 10_000]),
            delay_max: *draw.pick(&[0, 0, 500, 20_000]),
        },
        mix: if size.crowd { wishes::LASTING } else { mix(draw) },
        filters: *draw.pick(&[0, 300, 500, 1000]),
        padding: *draw.pick(&[0, 0, 50, 400, 3000]),
        length: size.length,
    };
    let mut steps = Steps { draw, settings: &settings, list: Vec::new() };
    steps.everyone(&size);
    if size.crowd {
        steps.crowd();
    }
    steps.load(&size);
    steps.faults(&size);
    let mut steps = steps.list;
    steps.sort_by_key(|step| step.at);
    Scenario { seed, settings, steps }
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
struct Size {
    length: Duration,
    publishes: u64,
    speech: u64,
    /// Applications, at least and at most.
    apps: (u64, u64),
    /// Readers and peers that speak by hand, at most; there is one publisher more.
    others: u64,
    /// Subscriptions that an application begins with, at most.
    subscriptions: u64,
    /// Much at once on a slow way down: lanes compete for it.
    crowd: bool,
    /// How often each fault that is a step strikes.
    strikes: u64,
}

impl Size {
    fn draw(draw: &mut Draw<'_>, scale: Scale) -> Self {
        let millis = Duration::from_millis;
        match scale {
            Scale::Any => {
                let (large, fan_out) = (draw.chance(20), draw.chance(20));
                let publishes = if large { draw.range(300, 1200) } else { draw.scaled(3, 80) };
                Self {
                    publishes,
                    speech: draw.scaled(0, 25),
                    length: millis(draw.scaled(500, 90_000)),
                    apps: if fan_out { (30, 120) } else { (1, 6) },
                    others: 2,
                    subscriptions: if draw.chance(30) { 60 } else { 3 },
                    crowd: draw.chance(50),
                    strikes: if large { 8 } else { 3 },
                }
            }
            Scale::Small => Self {
                publishes: draw.scaled(1, 12),
                speech: draw.scaled(0, 6),
                length: millis(draw.scaled(500, 20_000)),
                apps: (1, 3),
                others: 1,
                subscriptions: 3,
                crowd: false,
                strikes: 2,
            },
            Scale::Long(length) => {
                let hours = (length.as_secs() / 3600).clamp(1, 24 * 366);
                Self {
                    publishes: 60 * hours,
                    speech: 10 * hours,
                    length,
                    apps: (1, 6),
                    others: 2,
                    subscriptions: 3,
                    crowd: false,
                    strikes: 1 + hours / 3,
                }
            }
        }
    }
}

/// Mostly one; several where they are to differ in what they have heard of the log.
fn hubs(draw: &mut Draw<'_>, faults: &PerFault<u32>) -> u16 {
    let several = if 0 < faults.of(Fault::LogLag) { 800 } else { 250 };
    if draw.chance(several) { 2 + u16::from(draw.chance(300)) } else { 1 }
}

fn faults(draw: &mut Draw<'_>) -> PerFault<u32> {
    let mut faults = PerFault::default();
    let likely = *draw.pick(&[0, 100, 250, 250, 250, 500]);
    for fault in Fault::ALL {
        if draw.chance(likely) {
            *faults.of_mut(fault) = *draw.pick(&[5, 20, 100, 300]);
        }
    }
    faults
}

fn population(draw: &mut Draw<'_>, size: &Size) -> Population {
    let mut few = |low, high| u16::try_from(draw.scaled(low, high)).unwrap_or(1);
    let apps = few(size.apps.0, size.apps.1);
    let (readers, publishers, raws) = (few(0, size.others), few(1, size.others + 1), few(0, size.others));
    Population { apps, readers, publishers, raws }
}

fn network(draw: &mut Draw<'_>, crowd: bool) -> Network {
    let latency_min = draw.scaled(0, 20_000);
    Network {
        latency_min,
        latency_max: latency_min + draw.scaled(0, 150_000),
        chunk: if crowd { 128 } else { *draw.pick(&[128, 1_460, 1_460, 16_384, 65_536]) },
        send_buffer: if crowd { 512 } else { *draw.pick(&[512, 4_096, 16_384, 65_536]) },
    }
}

/// Kinds of events: all of them, any of them, or those that conflation may replace.
fn mix(draw: &mut Draw<'_>) -> u16 {
    match draw.below(4) {
        0 | 1 => wishes::KINDS,
        2 => u16::try_from(draw.range(1, u64::from(wishes::KINDS))).unwrap_or(1),
        _ => wishes::CONFLATED,
    }
}

fn poll_style(draw: &mut Draw<'_>) -> PollStyle {
    let of = draw.range(1, 3);
    let budgets = (0..of).map(|_| *draw.pick(&[1, 100, 1_024, 16_384, 65_536])).collect();
    PollStyle {
        permute: draw.chance(500),
        batch: draw.chance(500),
        trust_commit: draw.chance(500),
        idle_polls: *draw.pick(&[0, 0, 50, 500]),
        idle_timeouts: *draw.pick(&[0, 0, 50, 500]),
        budgets,
        turn_delay: *draw.pick(&[0, 0, 50, 5_000]),
    }
}

/// The list of steps while it grows.
struct Steps<'d, 'a, 's> {
    draw: &'d mut Draw<'a>,
    settings: &'s Settings,
    list: Vec<Step>,
}

impl Steps<'_, '_, '_> {
    fn add(&mut self, at: u64, action: Action) {
        let key = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(Step { at, key, action });
    }

    fn length(&self) -> u64 {
        u64::try_from(self.settings.length.as_micros()).unwrap_or(u64::MAX)
    }

    fn any_time(&mut self) -> u64 {
        self.draw.below(self.length())
    }

    fn app(&mut self) -> u16 {
        u16::try_from(self.draw.index(usize::from(self.settings.population.apps))).unwrap_or(0)
    }

    fn publisher(&mut self) -> u16 {
        u16::try_from(self.draw.index(usize::from(self.settings.population.publishers))).unwrap_or(0)
    }

    fn hub(&mut self) -> u16 {
        u16::try_from(self.draw.index(usize::from(self.settings.hubs))).unwrap_or(0)
    }

    /// Anyone, applications more often than others.
    fn anyone(&mut self) -> Who {
        let Population { apps: _, readers, publishers, raws } = self.settings.population;
        let mut of = |count: u16| u16::try_from(self.draw.index(usize::from(count))).unwrap_or(0);
        let (reader, publisher, raw) = (of(readers), of(publishers), of(raws));
        match self.draw.below(10) {
            0 | 1 if 0 < readers => Who::Reader(reader),
            2 | 3 => Who::Publisher(publisher),
            4 if 0 < raws => Who::Raw(raw),
            5 if self.draw.chance(300) => Who::Operator,
            _ => Who::App(self.app()),
        }
    }

    /// Everyone comes, most at the beginning.
    fn everyone(&mut self, size: &Size) {
        let population = self.settings.population;
        let early = (self.length() / 4).max(1);
        for app in 0..population.apps {
            for _ in 0..self.draw.range(1, size.subscriptions) {
                let at = if self.draw.chance(600) { 0 } else { self.draw.below(early) };
                self.add(at, Action::Subscribe(app));
            }
            let at = if self.draw.chance(600) { 0 } else { self.draw.below(early) };
            self.add(at, Action::Start(app));
        }
        for reader in 0..population.readers {
            let at = self.draw.below(early);
            self.add(at, Action::Read(reader));
        }
    }

    /// Much is published at once.
    fn crowd(&mut self) {
        let at = self.any_time();
        for _ in 0..self.draw.range(30, 200) {
            let publisher = self.publisher();
            self.add(at, Action::Publish(publisher));
        }
    }

    /// What happens on a good day.
    fn load(&mut self, size: &Size) {
        let mut left = size.publishes;
        while 0 < left {
            let burst = self.draw.scaled(1, 30).min(left);
            left -= burst;
            let (at, spread) = (self.any_time(), self.draw.scaled(0, 200_000));
            for _ in 0..burst {
                let at = at + self.draw.below(spread + 1);
                let action = if self.draw.chance(150) {
                    Action::PublishFrom(self.app())
                } else {
                    Action::Publish(self.publisher())
                };
                self.add(at, action);
            }
        }
        let apps = u64::from(self.settings.population.apps.min(8));
        for _ in 0..self.draw.scaled(0, 3 * apps * size.strikes) {
            let (at, app) = (self.any_time(), self.app());
            let action = match self.draw.below(8) {
                0..4 => Action::Subscribe(app),
                4 | 5 => Action::Unsubscribe(app),
                6 => Action::Visible(app),
                _ => Action::Stop(app),
            };
            self.add(at, action);
            if matches!(action, Action::Stop(_)) {
                let again = at + self.draw.scaled(1, 5_000_000);
                self.add(again, Action::Start(app));
            }
        }
        for _ in 0..size.speech {
            let at = self.any_time();
            let raws = self.settings.population.raws;
            let raw = u16::try_from(self.draw.index(usize::from(raws))).unwrap_or(0);
            let operates = raws == 0 || self.draw.chance(200);
            self.add(at, if operates { Action::Operate } else { Action::Speak(raw) });
        }
    }

    /// What happens on a bad one.
    fn faults(&mut self, size: &Size) {
        for fault in Fault::ALL {
            if self.settings.faults.of(fault) == 0 {
                continue;
            }
            for _ in 0..self.draw.range(1, size.strikes) {
                let at = self.any_time();
                if let Some(action) = self.strike(fault) {
                    self.add(at, action);
                }
            }
        }
    }

    fn strike(&mut self, fault: Fault) -> Option<Action> {
        let raws = self.settings.population.raws;
        let raw = u16::try_from(self.draw.index(usize::from(raws))).unwrap_or(0);
        let millis = |draw: &mut Draw<'_>, most| u32::try_from(draw.scaled(1, most)).unwrap_or(1);
        Some(match fault {
            Fault::Stall => {
                let who = self.anyone();
                let ever = self.draw.chance(200);
                Action::Stall(who, (!ever).then(|| millis(self.draw, 200_000)))
            }
            Fault::Silence => Action::Silence(self.anyone()),
            Fault::Reset => {
                let after = self.draw.scaled(0, 5_000);
                Action::Reset(self.anyone(), u32::try_from(after).unwrap_or(0))
            }
            Fault::HalfClose => Action::HalfClose(self.anyone()),
            Fault::Storm => Action::Storm,
            Fault::Restart => Action::Crash(self.hub(), self.draw.chance(500), millis(self.draw, 10_000)),
            Fault::NewEpoch => Action::Forget,
            Fault::Drain => {
                let hub = self.hub();
                if self.draw.chance(700) { Action::Drain(hub) } else { Action::Halt(hub) }
            }
            Fault::ClockJump => {
                let by = i64::from(millis(self.draw, 7_200_000));
                Action::ClockJump(self.hub(), if self.draw.chance(500) { by } else { -by })
            }
            Fault::ClockStop => Action::ClockStop(self.hub(), millis(self.draw, 60_000)),
            Fault::LogLag => Action::Lag(self.hub(), millis(self.draw, 20_000)),
            Fault::LateTimer => Action::Lateness(self.hub(), millis(self.draw, 3_000)),
            Fault::GrantChange => Action::Regrant(self.app()),
            Fault::KeysReplaced => Action::Keys(*self.draw.pick(&[0b01, 0b10, 0b11])),
            Fault::Repeat => Action::Repeat(self.publisher()),
            Fault::Conflict => Action::Conflict(self.publisher()),
            Fault::BadBatch => Action::BadBatch(self.publisher()),
            Fault::AppendFailure => Action::LogDown(millis(self.draw, 40_000)),
            Fault::Limits if 0 < raws => Action::Flood(raw),
            Fault::Corruption if 0 < raws && self.draw.chance(700) => Action::Misbehave(raw),
            Fault::Corruption => Action::Corrupt(self.app()),
            Fault::Disconnect => Action::Disconnect,
            Fault::Offline => Action::Offline(self.app(), millis(self.draw, 20_000)),
            _ => return None,
        })
    }
}
