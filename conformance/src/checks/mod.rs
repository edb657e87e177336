//! The checks, one file a part of PROTOCOL, each named after the sentence that it shows.

mod clients;
mod section1;
mod section2_connect;
mod section2_grants;
mod section2_tokens;
mod section3;
mod section3_filters;
mod section3_resume;
mod section4;
mod section5_heartbeat;
mod section5_lanes;
mod section5_resume;
mod section6_admin;
mod section6_cors;
mod section6_framing;
mod section6_history;
mod section6_publish;
mod section6_stream;
mod section7;
mod section7_frames;

use crate::runner::Check;

/// All of them, in the order of PROTOCOL.
pub(crate) fn all() -> Vec<Check> {
    let mut checks = Vec::new();
    for table in [
        section1::table,
        section2_connect::table,
        section2_tokens::table,
        section2_grants::table,
        section3::table,
        section3_filters::table,
        section3_resume::table,
        clients::table,
        section4::table,
        section5_lanes::table,
        section5_resume::table,
        section5_heartbeat::table,
        section6_publish::table,
        section6_history::table,
        section6_stream::table,
        section6_admin::table,
        section6_cors::table,
        section6_framing::table,
        section7::table,
        section7_frames::table,
    ] {
        checks.append(&mut table());
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_section() {
        let mut names = HashSet::new();
        for check in all() {
            assert!((1..=7).contains(&check.section), "{}", check.name);
            assert!(names.insert(check.name), "{} stands twice", check.name);
        }
    }
}
