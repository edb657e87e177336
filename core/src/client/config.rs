//! Every bound and interval of a client.

use std::time::Duration;

/// The knobs of a [`super::Client`], with defaults that fit the server's.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Upper end of the first delay before a reconnection; it doubles with each attempt (full jitter).
    pub backoff_base: Duration,
    /// Upper end of any delay before a reconnection.
    pub backoff_cap: Duration,
    /// A connection that has been open for this long begins the delays anew.
    pub backoff_reset: Duration,
    /// From the wish to connect until `welcome`.
    pub connect_timeout: Duration,
    /// From `welcome` until `resumed`.
    pub resume_timeout: Duration,
    /// After a page has become visible, how long the server may take for a sign of life.
    pub probe_timeout: Duration,
    /// Before a request is repeated that the server could not serve at the moment. Up to as much again is
    /// added at random.
    pub retry_delay: Duration,
    /// How long before a token's expiry the next one is asked for; a fifth of its life where that is less.
    pub refresh_lead: Duration,
    /// Different subscriptions at most, as the server counts them.
    pub subscriptions_max: usize,
    /// Their size at most, in bytes of JSON.
    pub subscription_bytes_max: usize,
    /// Subscriptions of the application at most; equal ones share one of the server's.
    pub handles_max: usize,
    /// Patterns of a subscription at most.
    pub patterns_max: usize,
    /// Keys of a filter at most.
    pub filter_keys_max: usize,
    /// Size of one event at most, in bytes of JSON with the message around it. A server closes on what is
    /// larger than it takes, and a client stops on that.
    pub event_bytes_max: usize,
    /// Events at most that wait to be published or for their answer.
    pub publishes_max: usize,
    /// Their size at most, in bytes of JSON.
    pub publish_bytes_max: usize,
    /// Events at most that have been sent and not answered: fewer than the refusals at which a server closes.
    pub publishes_in_flight: usize,
    /// Messages a second at most, in the long run; what the server allows, or less.
    pub messages_per_s: u32,
    /// Messages at once at most; less than the server allows, because it counts long scans as more.
    pub messages_burst: u32,
    /// Outputs at most that wait to be polled. A message beyond is not taken: the client reconnects and
    /// resumes, so nothing is lost.
    pub outputs_max: usize,
    /// Their size at most, in bytes of JSON.
    pub output_bytes_max: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(30),
            backoff_reset: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(15),
            resume_timeout: Duration::from_secs(60),
            probe_timeout: Duration::from_secs(5),
            retry_delay: Duration::from_secs(1),
            refresh_lead: Duration::from_secs(60),
            subscriptions_max: 128,
            subscription_bytes_max: 48 * 1024,
            handles_max: 4096,
            patterns_max: 64,
            filter_keys_max: 16,
            event_bytes_max: 64 * 1024,
            publishes_max: 256,
            publish_bytes_max: 4 * 1024 * 1024,
            publishes_in_flight: 8,
            messages_per_s: 100,
            messages_burst: 100,
            outputs_max: 1024,
            output_bytes_max: 8 * 1024 * 1024,
        }
    }
}
