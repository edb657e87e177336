//! Durations on the command line: a number and a unit.

use std::time::Duration;

/// Reads `90s`, `15m`, `1h`, `7d` or `500ms`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const FORM: &str = "expected a number and a unit, as in 90s, 15m, 1h or 7d";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| FORM)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(FORM.to_owned()),
    };
    number
        .checked_mul(millis)
        .filter(|&ms| ms <= 100 * 366 * 86_400_000)
        .map_or_else(|| Err("at most a hundred years".to_owned()), |millis| Ok(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(parse("5ms"), Ok(Duration::from_millis(5)));
        for wrong in ["", "5", "h", "-1s", "1.5h", "5 s", "99999999999999999999s", "40000d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
