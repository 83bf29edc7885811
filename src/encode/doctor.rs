//! What this machine can encode, for `nowcast doctor`.
