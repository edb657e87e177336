//! A list of inputs into hubs with the model beside them: the bytes are the choices of the simulator's
//! generator, so every input is a scenario.

use crate::sim::{Scenario, run};

/// Panics where the scenario of these bytes breaks an invariant.
pub fn inputs(bytes: &[u8]) {
    let outcome = run(&Scenario::from_bytes(bytes), None);
    let broken = outcome.violation.as_ref();
    assert!(broken.is_none(), "{}", broken.map(ToString::to_string).unwrap_or_default());
}
