//! What a connection costs at rest.
