//! Resume: a session takes up every lane where an earlier connection ended.

use super::Hub;
use crate::event::Priority;
use crate::protocol::{
    ConnId, ErrorCode, Failure, GapReason, Offset, Outcome, PerLane, Position, ResumeEntry, Resumed,
    ServerMessage, Since,
};

impl Hub {
    pub(super) fn resume(
        &mut self,
        conn: ConnId,
        id: Option<&str>,
        since: &Since,
        entries: Vec<ResumeEntry>,
    ) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.began {
            let message = "`resume` comes before the first `subscribe`, and once";
            return self.refuse(conn, id, ErrorCode::InvalidMessage, message, None);
        }
        session.began = true;
        let known = self.is_of_this_log(&since.epoch, &since.lanes);
        let mut results = Vec::with_capacity(entries.len());
        for ResumeEntry { id, wanted } in entries {
            results.push((id.clone(), self.resume_one(conn, &id, wanted, known)));
        }
        let (position, recovered, gaps) = self.take_position(conn, &since.epoch, &since.lanes);
        let subscriptions = results
            .iter()
            .map(|(id, result)| match result {
                Ok(offset) => Outcome { id, offset: Some(*offset), error: None },
                Err(failure) => Outcome { id, offset: None, error: Some(failure.clone()) },
            })
            .collect();
        let reply = ServerMessage::Resumed { id, recovered, position: &position, subscriptions };
        self.send(conn, &reply);
        for gap in &gaps {
            self.send(conn, gap);
        }
        self.wake(conn);
    }

    fn resume_one(
        &mut self,
        conn: ConnId,
        id: &str,
        wanted: Result<Resumed, (ErrorCode, String)>,
        known: bool,
    ) -> Result<Offset, Failure> {
        // An offset of another log, or beyond this one's end, says nothing here: nothing is above the end.
        let end = self.history.end();
        let checked = match wanted {
            Ok(Resumed { from, patterns, filter }) => {
                let from = if known { from.min(end) } else { end };
                self.check_subscription(conn, id, &patterns, &filter)
                    .map(|()| self.join(conn, id, &patterns, &filter, Some(from)))
            }
            Err((code, message)) => Err(Failure { code, message, details: None }),
        };
        if let Err(failure) = &checked {
            self.stats.error(failure.code);
        }
        checked
    }

    /// Whether a position is one of this log: of its epoch, and not above its end.
    fn is_of_this_log(&self, epoch: &str, lanes: &PerLane<Offset>) -> bool {
        let end = self.history.end();
        self.history.epoch().is_some_and(|ours| ours.as_str() == epoch)
            && lanes.iter().all(|(_, offset)| *offset <= end)
    }

    /// Begins every lane at the client's position, where that is one of this log. Returns the position
    /// that the client adopts, whether history covers it, and the gaps to tell.
    pub(super) fn take_position(
        &mut self,
        conn: ConnId,
        epoch: &str,
        lanes: &PerLane<Offset>,
    ) -> (Position, bool, Vec<ServerMessage<'static>>) {
        self.stats.resumes += 1;
        let end = self.history.end();
        let ours = self.history.epoch().cloned().expect("connections begin when the log is open");
        if !self.is_of_this_log(epoch, lanes) {
            self.stats.gaps_epoch += 4;
            let gap = |lane| ServerMessage::Gap { lane, after: None, until: end, reason: GapReason::Epoch };
            let position = Position { epoch: ours, lanes: PerLane::from_fn(|_| end) };
            return (position, false, Priority::ALL.map(gap).into());
        }
        let mut gaps = Vec::new();
        let mut position = *lanes;
        for lane in Priority::ALL {
            let (after, evicted) = (lanes[lane], self.history.lane(lane).evicted());
            if after < evicted {
                let (after, until) = (Some(after), evicted);
                gaps.push(ServerMessage::Gap { lane, after, until, reason: GapReason::Expired });
                self.stats.gaps_expired += 1;
                position[lane] = evicted;
            }
            if let Some(connection) = self.connections.get_mut(conn) {
                self.lanes.resume(&mut connection.lanes, lane, position[lane], &self.history);
            }
        }
        let recovered = gaps.is_empty();
        self.stats.resumes_recovered += u64::from(recovered);
        (Position { epoch: ours, lanes: *lanes }, recovered, gaps)
    }
}
