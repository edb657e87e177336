//! Makes a failing scenario small: fewer steps, fewer faults, fewer people, as long as the same invariant is
//! broken.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::engine::run;
use super::scenario::{Fault, Scenario, Step};
use crate::model::Invariant;

/// How a scenario fails: by an invariant, or by a panic.
type Failure = Option<Invariant>;

/// The smallest scenario found that fails as `scenario` does, by delta debugging (Zeller and Hildebrandt, 2002)
/// over its steps, then over faults and population. `told` hears of each that is smaller.
#[must_use]
pub fn minimize(scenario: &Scenario, told: &mut dyn FnMut(&Scenario)) -> Scenario {
    let Some(failure) = failure(scenario) else { return scenario.clone() };
    let mut smallest = scenario.clone();
    loop {
        let before = (smallest.steps.len(), smallest.settings.faults);
        fewer_steps(&mut smallest, failure, told);
        fewer_faults(&mut smallest, failure, told);
        fewer_people(&mut smallest, failure, told);
        if before == (smallest.steps.len(), smallest.settings.faults) {
            return smallest;
        }
    }
}

/// Whether and how it fails.
fn failure(scenario: &Scenario) -> Option<Failure> {
    match catch_unwind(AssertUnwindSafe(|| run(scenario, None))) {
        Ok(outcome) => outcome.violation.map(|violation| Some(violation.invariant)),
        Err(_) => Some(None),
    }
}

fn take(
    smallest: &mut Scenario,
    candidate: Scenario,
    wanted: Failure,
    told: &mut dyn FnMut(&Scenario),
) -> bool {
    let same = failure(&candidate) == Some(wanted);
    if same {
        *smallest = candidate;
        told(smallest);
    }
    same
}

fn fewer_steps(smallest: &mut Scenario, wanted: Failure, told: &mut dyn FnMut(&Scenario)) {
    let mut piece = smallest.steps.len().div_ceil(2);
    while 0 < piece {
        let mut from = 0;
        let mut any = false;
        while from < smallest.steps.len() {
            let to = (from + piece).min(smallest.steps.len());
            let rest: Vec<Step> = [&smallest.steps[..from], &smallest.steps[to..]].concat();
            let candidate = Scenario { steps: rest, ..smallest.clone() };
            if take(smallest, candidate, wanted, told) {
                any = true;
            } else {
                from = to;
            }
        }
        if piece == 1 && !any {
            return;
        }
        piece = if piece == 1 { 1 } else { piece / 2 };
    }
}

fn fewer_faults(smallest: &mut Scenario, wanted: Failure, told: &mut dyn FnMut(&Scenario)) {
    for fault in Fault::ALL {
        if smallest.settings.faults.of(fault) == 0 {
            continue;
        }
        let mut candidate = smallest.clone();
        *candidate.settings.faults.of_mut(fault) = 0;
        take(smallest, candidate, wanted, told);
    }
}

fn fewer_people(smallest: &mut Scenario, wanted: Failure, told: &mut dyn FnMut(&Scenario)) {
    let simpler: [fn(&mut Scenario); 6] = [
        |scenario| scenario.settings.hubs = 1,
        |scenario| scenario.settings.population.raws = 0,
        |scenario| scenario.settings.population.readers = 0,
        |scenario| scenario.settings.padding = 0,
        |scenario| scenario.settings.population.publishers = 1,
        |scenario| scenario.settings.network.latency_max = scenario.settings.network.latency_min,
    ];
    for simplify in simpler {
        let mut candidate = smallest.clone();
        simplify(&mut candidate);
        take(smallest, candidate, wanted, told);
    }
    while 1 < smallest.settings.population.apps {
        let mut candidate = smallest.clone();
        candidate.settings.population.apps -= 1;
        if !take(smallest, candidate, wanted, told) {
            return;
        }
    }
}
