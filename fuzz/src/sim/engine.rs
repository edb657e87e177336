//! The run itself: what is due, in the order of time, until the faults have stopped and everyone has
//! everything, or until something is found that must not be.

use std::time::Duration;

use tidings_core::Instant;

use super::actor::{self, Actor};
use super::host::{Host, Life};
use super::outcome::Outcome;
use super::queue::Due;
use super::scenario::{Action, Scenario, Step, Who};
use super::scene::Scene;
use super::trace::{Sink, Trace};
use crate::model::Invariant;

/// After the faults have stopped, everyone has everything within this, and what timeouts take.
const SETTLE: Duration = Duration::from_secs(600);
/// How often it is looked whether everyone has everything.
const LOOK: Duration = Duration::from_millis(500);

/// Runs a scenario to its end, or to the first invariant that is broken.
pub fn run<'s>(scenario: &'s Scenario, trace: Option<&'s mut dyn Sink>) -> Outcome {
    let actors = actor::count(scenario.settings.population);
    let scene = Scene::new(scenario.seed, &scenario.settings, actors, Trace::new(trace));
    let mut engine = Engine { actors: actor::all(&scene), scene, steps: &scenario.steps };
    engine.run();
    let Engine { scene, .. } = engine;
    Outcome {
        hash: scene.trace.hash(),
        lines: scene.trace.lines(),
        virtual_time: scene.now.since(Instant::ZERO),
        violation: scene.violated().cloned(),
        counts: scene.counts,
    }
}

struct Engine<'s> {
    scene: Scene<'s>,
    actors: Vec<Actor>,
    steps: &'s [Step],
}

impl Engine<'_> {
    fn run(&mut self) {
        let end = Instant::ZERO + self.scene.settings.length;
        for host in 0..self.scene.settings.hubs {
            self.scene.begin_life(host);
        }
        self.scene.queue.push(end, Due::Calm);
        for (index, step) in (0..).zip(self.steps) {
            let at = Instant::from_micros(step.at);
            if at < end {
                self.scene.queue.push(at, Due::Step(index));
            }
        }
        self.until(end);
        self.settle(end);
        if self.scene.violated().is_none() {
            self.scene.model.settled();
        }
        for host in 0..self.scene.settings.hubs {
            if self.scene.violated().is_none() {
                self.scene.end_life(host, false, None);
            }
        }
    }

    /// Lets everything happen that is due by `end`.
    fn until(&mut self, end: Instant) {
        while self.scene.violated().is_none()
            && let Some((at, due)) = self.scene.queue.pop(end)
        {
            self.scene.now = at;
            self.happen(due);
            while let Some((link, word)) = self.scene.words.pop() {
                let owner = self.scene.link(link).owner;
                self.actors[usize::from(owner)].heard(&mut self.scene, link, word);
            }
        }
        if self.scene.violated().is_none() {
            self.scene.now = end;
        }
    }

    fn happen(&mut self, due: Due) {
        let Self { scene, actors, steps } = self;
        match due {
            Due::Step(index) => {
                let step = steps[index as usize];
                self.step(&step);
            }
            Due::Calm => self.calm(),
            Due::Knock(link) => scene.knock(link),
            Due::Up(link) => scene.arrive_up(link),
            Due::Down(link) => {
                let (bytes, word) = scene.arrive_down(link);
                let owner = usize::from(scene.link(link).owner);
                if !bytes.is_empty() {
                    actors[owner].received(scene, link, &bytes);
                }
                if let Some(word) = word {
                    actors[owner].heard(scene, link, word);
                }
            }
            Due::Broken(link) => scene.broken(link),
            Due::Turn(host) => scene.turn(host),
            Due::Timer(host) => scene.timer(host),
            Due::Host(host) => {
                if scene.hosts[usize::from(host)].life.is_none() {
                    scene.begin_life(host);
                }
            }
            Due::Log(number) => scene.decide(number),
            Due::Answer(number) => scene.answer_due(number),
            Due::Feed(host) => scene.with_life(host, Life::hear),
            Due::Actor(actor) => {
                if scene.wakes(actor) {
                    actors[usize::from(actor)].woken(scene);
                }
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let Self { scene, actors, .. } = self;
        scene.trace(format_args!("step {} {:?}", step.key, step.action));
        let population = scene.settings.population;
        let place = |who| actor::place(population, who).map(usize::from);
        let link = |who: Who| actors[place(who)?].link();
        let hosts = scene.settings.hubs;
        let counted = step.action.fault();
        match step.action {
            Action::Stall(who, millis) => {
                let Some(link) = link(who) else { return };
                scene.stall(link, millis);
            }
            Action::Silence(who) => {
                let Some(link) = link(who) else { return };
                scene.silence(link);
            }
            Action::Reset(who, after) => {
                let Some(link) = link(who) else { return };
                scene.reset_after(link, after);
            }
            Action::HalfClose(who) => {
                let Some(link) = link(who) else { return };
                scene.end(link);
            }
            Action::Storm => {
                let links: Vec<_> = actors.iter().filter_map(Actor::link).collect();
                links.into_iter().for_each(|link| scene.break_now(link));
            }
            Action::Forget => {
                for host in 0..hosts {
                    scene.end_life(host, false, Some(Duration::from_millis(1)));
                }
                let seed = scene.seed;
                scene.store.forget(seed);
            }
            Action::Keys(keys) => (0..hosts).for_each(|host| scene.replace_keys(host, keys)),
            Action::LogDown(millis) => {
                let until = scene.now + Duration::from_millis(u64::from(millis));
                scene.store.fail_until(until);
            }
            _ => {
                if let Some(who) = step.action.who() {
                    let Some(place) = place(who) else { return };
                    return actors[place].act(scene, step);
                }
                host_step(scene, step.action);
            }
        }
        if let Some(fault) = counted {
            scene.count(fault);
        }
    }

    /// The faults stop: hosts are up and on time, the network flows, clocks are right, keys are the first.
    fn calm(&mut self) {
        let Self { scene, actors, .. } = self;
        scene.trace(format_args!("the faults stop"));
        scene.calm = true;
        let now = scene.now;
        scene.store.fail_until(now);
        for host in 0..scene.settings.hubs {
            let one = &mut scene.hosts[usize::from(host)];
            one.clock = super::host::Clock::default();
            one.lag = Duration::ZERO;
            if one.life.is_none() {
                scene.begin_life(host);
            }
            scene.be_late(host, Duration::ZERO);
            scene.replace_keys(host, 0b01);
        }
        scene.flow();
        actors.iter_mut().for_each(|actor| actor.calm(scene));
    }

    /// Waits until everyone has everything, and heartbeats have come since.
    fn settle(&mut self, end: Instant) {
        let heartbeat = &self.scene.settings.config.heartbeat;
        let (interval, timeout) =
            (Duration::from_millis(heartbeat.interval_ms), Duration::from_millis(heartbeat.timeout_ms));
        let latest = end + SETTLE + timeout * 3;
        let mut still_since = None;
        while self.scene.violated().is_none() && self.scene.now < latest {
            let next = self.scene.now + LOOK;
            self.until(next);
            let since = match self.lacks() {
                Some(_) => None,
                None => Some(still_since.unwrap_or(next)),
            };
            still_since = since;
            if since.is_some_and(|since| since + interval + LOOK <= self.scene.now) {
                return;
            }
        }
        if let Some(lack) = self.lacks() {
            let after = self.scene.now.since(end);
            self.scene.violate(Invariant::Complete, format!("{after:?} after the last fault: {lack}"));
        }
    }

    /// What anyone lacks.
    fn lacks(&self) -> Option<String> {
        if !self.scene.store.is_still() {
            return Some("the log has yet to answer".to_owned());
        }
        if let Some(host) = self.scene.hosts.iter().find(|host| !host.is_ready()) {
            return Some(format!("host {} is not ready", host.index));
        }
        let level = |host: &Host| host.life.as_ref().is_some_and(|life| life.is_level());
        if let Some(host) = self.scene.hosts.iter().find(|host| !level(host)) {
            return Some(format!("host {} has not heard of all that is in the log", host.index));
        }
        if let Some(link) = self.scene.model.paced() {
            return Some(format!("link {} keeps to its pace", link.0));
        }
        self.actors.iter().find_map(|actor| {
            let stuck =
                |link| (!self.scene.links[link as usize].is_still()).then(|| format!("link {link} is busy"));
            actor.lacks().or_else(|| actor.link().and_then(|link| stuck(link.0)))
        })
    }
}

/// Something that befalls a host.
fn host_step(scene: &mut Scene<'_>, action: Action) {
    use tidings_core::Input;
    let millis = |millis: u32| Duration::from_millis(u64::from(millis));
    match action {
        Action::Crash(host, last_words, back) if host < scene.settings.hubs => {
            scene.end_life(host, last_words, Some(millis(back)));
        }
        Action::Drain(host) | Action::Halt(host) if host < scene.settings.hubs => {
            let now = scene.hub_now(host);
            scene.with_life(host, |life, scene| {
                let halt = matches!(action, Action::Halt(_));
                if halt {
                    scene.model.stopping(life.id);
                } else {
                    scene.model.draining(now, life.id);
                }
                life.input(scene, if halt { Input::Stop } else { Input::Drain });
                scene.turn_at(host, scene.now);
            });
        }
        Action::ClockJump(host, by) if host < scene.settings.hubs => {
            scene.hosts[usize::from(host)].clock.skew_ms += by;
        }
        Action::ClockStop(host, until) if host < scene.settings.hubs => {
            let (now, until) = (scene.now, scene.now + millis(until));
            scene.hosts[usize::from(host)].clock.stop(now, until);
        }
        Action::Lag(host, by) if host < scene.settings.hubs => {
            scene.hosts[usize::from(host)].lag = millis(by);
        }
        Action::Lateness(host, by) if host < scene.settings.hubs => scene.be_late(host, millis(by)),
        _ => {}
    }
}
