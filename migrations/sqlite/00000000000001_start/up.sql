CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
) STRICT;
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    account_id INTEGER REFERENCES accounts (id),
    email TEXT NOT NULL UNIQUE CHECK (email = lower(email)),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('member', 'staff')),
    password_hash TEXT,
    timezone TEXT NOT NULL DEFAULT 'UTC',
    disabled INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    CHECK (role = 'staff' OR account_id IS NOT NULL)
) STRICT;
CREATE INDEX users_account ON users (account_id);
CREATE TABLE plans (
    id INTEGER PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    ram_mb INTEGER NOT NULL CHECK (ram_mb > 0),
    disk_mb INTEGER NOT NULL CHECK (disk_mb > 0),
    vcpus INTEGER NOT NULL CHECK (vcpus > 0),
    cpu_weight INTEGER NOT NULL CHECK (cpu_weight > 0)
) STRICT;
CREATE TABLE kernels (
    id TEXT PRIMARY KEY NOT NULL,
    label TEXT NOT NULL,
    platform TEXT NOT NULL CHECK (platform IN ('uml', 'xen')),
    family TEXT NOT NULL CHECK (family IN ('2.4', '2.6')),
    maps_to TEXT REFERENCES kernels (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    platform TEXT NOT NULL CHECK (platform IN ('uml', 'xen')),
    role TEXT NOT NULL CHECK (role IN ('source', 'beta', 'production')),
    plan_id INTEGER REFERENCES plans (id),
    state TEXT NOT NULL CHECK (state IN ('enabled', 'draining', 'disabled', 'quarantined')),
    memory_mb INTEGER NOT NULL CHECK (memory_mb >= 0),
    disk_mb INTEGER NOT NULL CHECK (disk_mb >= 0),
    disk_free_mb INTEGER,
    slots INTEGER NOT NULL DEFAULT 2 CHECK (slots >= 0),
    cap_mb_s INTEGER CHECK (cap_mb_s > 0),
    tells_changes INTEGER NOT NULL DEFAULT 0,
    transfer_address TEXT,
    fingerprint TEXT,
    credential_hash TEXT UNIQUE,
    next_credential_hash TEXT UNIQUE,
    agent_version TEXT,
    unknown_disks TEXT NOT NULL DEFAULT '[]',
    last_seen_at TEXT,
    created_at TEXT NOT NULL,
    CHECK ((role = 'production') = (plan_id IS NOT NULL))
) STRICT;
CREATE TABLE enrolment_tokens (
    hash TEXT PRIMARY KEY NOT NULL,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    expires_at TEXT NOT NULL,
    used_at TEXT
) STRICT;
CREATE INDEX enrolment_tokens_host ON enrolment_tokens (host_id);
-- host_id is the owner; epoch counts the grants. Both change only together, by compare-and-set.
CREATE TABLE linodes (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    label TEXT NOT NULL,
    plan_id INTEGER NOT NULL REFERENCES plans (id),
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    epoch INTEGER NOT NULL CHECK (epoch > 0),
    fetched INTEGER NOT NULL,
    status TEXT NOT NULL,
    status_at TEXT NOT NULL,
    mac TEXT NOT NULL UNIQUE,
    boot_config_id INTEGER,
    console TEXT,
    created_at TEXT NOT NULL,
    UNIQUE (id, host_id),
    UNIQUE (account_id, label)
) STRICT;
CREATE INDEX linodes_host ON linodes (host_id);
CREATE TABLE disks (
    id INTEGER PRIMARY KEY,
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    label TEXT NOT NULL,
    size_mb INTEGER NOT NULL CHECK (size_mb > 0),
    filesystem TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (linode_id, label)
) STRICT;
CREATE TABLE config_profiles (
    id INTEGER PRIMARY KEY,
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    label TEXT NOT NULL,
    kernel_id TEXT NOT NULL REFERENCES kernels (id),
    devices TEXT NOT NULL,
    root_device TEXT NOT NULL,
    read_only_root INTEGER NOT NULL,
    run_level TEXT NOT NULL CHECK (run_level IN ('default', 'single', 'binbash')),
    ram_limit_mb INTEGER NOT NULL DEFAULT 0,
    vcpus INTEGER NOT NULL DEFAULT 1,
    comments TEXT NOT NULL DEFAULT '',
    helpers TEXT NOT NULL,
    UNIQUE (linode_id, label)
) STRICT;
-- One host per address: an address is where its Linode is owned, and nowhere else.
CREATE TABLE ips (
    id INTEGER PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    linode_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    prefix INTEGER NOT NULL,
    gateway TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('public', 'private')),
    rdns TEXT NOT NULL DEFAULT '',
    FOREIGN KEY (linode_id, host_id) REFERENCES linodes (id, host_id) ON UPDATE CASCADE
) STRICT;
CREATE INDEX ips_linode ON ips (linode_id);
CREATE TABLE programme (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'ended')),
    irc_url TEXT NOT NULL DEFAULT '',
    forum_url TEXT NOT NULL DEFAULT '',
    seats INTEGER,
    offer_days INTEGER NOT NULL DEFAULT 14 CHECK (offer_days > 0),
    way_back_days INTEGER NOT NULL DEFAULT 7 CHECK (way_back_days > 0),
    max_overall INTEGER NOT NULL DEFAULT 20 CHECK (max_overall >= 0),
    max_per_link INTEGER NOT NULL DEFAULT 2 CHECK (max_per_link >= 0),
    max_warm_passes INTEGER NOT NULL DEFAULT 6 CHECK (max_warm_passes > 0),
    watch_s INTEGER NOT NULL DEFAULT 10 CHECK (watch_s >= 0),
    changed_at TEXT NOT NULL
) STRICT;
CREATE TABLE registrations (
    id INTEGER PRIMARY KEY,
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    requested_by INTEGER NOT NULL REFERENCES users (id),
    state TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'declined', 'withdrawn')),
    reason TEXT NOT NULL DEFAULT '',
    requested_at TEXT NOT NULL,
    decided_at TEXT,
    decided_by INTEGER REFERENCES users (id)
) STRICT;
CREATE UNIQUE INDEX registrations_one_live ON registrations (linode_id) WHERE state IN ('requested', 'approved');
CREATE INDEX registrations_state ON registrations (state, requested_at, id);
CREATE INDEX registrations_account ON registrations (account_id, id);
CREATE TABLE migrations (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('beta', 'graduation', 'return', 'evacuation')),
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    registration_id INTEGER REFERENCES registrations (id),
    parent_id INTEGER REFERENCES migrations (id),
    source_host_id INTEGER NOT NULL REFERENCES hosts (id),
    destination_host_id INTEGER NOT NULL REFERENCES hosts (id),
    state TEXT NOT NULL,
    step TEXT,
    round INTEGER NOT NULL DEFAULT 1,
    epoch INTEGER NOT NULL,
    base_epoch INTEGER,
    was_running INTEGER NOT NULL DEFAULT 0,
    kernels_accepted INTEGER NOT NULL DEFAULT 0,
    stop_limit_s INTEGER NOT NULL DEFAULT 60 CHECK (stop_limit_s BETWEEN 5 AND 600),
    offered_by INTEGER REFERENCES users (id),
    offered_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    not_before TEXT,
    queued_at TEXT,
    queued_by INTEGER REFERENCES users (id),
    started_at TEXT,
    stopped_at TEXT,
    committed_at TEXT,
    finished_at TEXT,
    way_back_until TEXT,
    closed_at TEXT,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    failure TEXT NOT NULL DEFAULT '',
    failure_detail TEXT NOT NULL DEFAULT '',
    total_bytes INTEGER NOT NULL DEFAULT 0,
    sent_bytes INTEGER NOT NULL DEFAULT 0,
    warm_passes INTEGER NOT NULL DEFAULT 0,
    profiles_before TEXT,
    profiles_after TEXT,
    CHECK (source_host_id <> destination_host_id)
) STRICT;
CREATE UNIQUE INDEX migrations_one_live ON migrations (linode_id)
    WHERE state IN ('offered', 'queued', 'preparing', 'copying', 'switching');
CREATE UNIQUE INDEX migrations_one_return ON migrations (parent_id)
    WHERE parent_id IS NOT NULL AND state NOT IN ('cancelled', 'failed', 'expired');
CREATE INDEX migrations_state ON migrations (state, id);
CREATE INDEX migrations_linode ON migrations (linode_id, id);
CREATE INDEX migrations_account ON migrations (account_id, id);
CREATE INDEX migrations_registration ON migrations (registration_id);
CREATE INDEX migrations_due ON migrations (not_before) WHERE state = 'queued';
CREATE INDEX migrations_expiring ON migrations (expires_at) WHERE state = 'offered';
CREATE INDEX migrations_destination ON migrations (destination_host_id, state);
CREATE INDEX migrations_source ON migrations (source_host_id, state);
CREATE INDEX migrations_way_back ON migrations (way_back_until) WHERE state = 'finished';
CREATE TABLE migration_events (
    id INTEGER PRIMARY KEY,
    migration_id INTEGER NOT NULL REFERENCES migrations (id),
    at TEXT NOT NULL,
    state TEXT NOT NULL,
    step TEXT,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX migration_events_migration ON migration_events (migration_id, id);
CREATE TABLE digests (
    migration_id INTEGER NOT NULL REFERENCES migrations (id),
    disk_id INTEGER NOT NULL REFERENCES disks (id),
    side TEXT NOT NULL CHECK (side IN ('source', 'destination')),
    epoch INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    root TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (migration_id, disk_id, side)
) STRICT;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    linode_id INTEGER NOT NULL REFERENCES linodes (id),
    migration_id INTEGER REFERENCES migrations (id),
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'succeeded', 'failed', 'cancelled')),
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    run_after TEXT NOT NULL,
    lease_hash TEXT,
    lease_until TEXT,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    requested_by INTEGER REFERENCES users (id),
    entered_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    progress TEXT,
    progress_at TEXT,
    message TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX jobs_claim ON jobs (host_id, run_after, id) WHERE state = 'pending';
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 'leased';
CREATE INDEX jobs_host_leased ON jobs (host_id) WHERE state = 'leased';
CREATE UNIQUE INDEX jobs_one_at_work ON jobs (linode_id, host_id) WHERE state = 'leased';
CREATE INDEX jobs_linode ON jobs (linode_id, id);
CREATE INDEX jobs_migration ON jobs (migration_id, id);
CREATE INDEX jobs_state ON jobs (state, id);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id),
    created_at TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE TABLE api_tokens (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id),
    label TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('read_only', 'read_write')),
    created_at TEXT NOT NULL,
    used_at TEXT,
    expires_at TEXT
) STRICT;
CREATE INDEX api_tokens_user ON api_tokens (user_id);
CREATE TABLE password_resets (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at TEXT
) STRICT;
CREATE INDEX password_resets_user ON password_resets (user_id, created_at);
CREATE TABLE sign_in_failures (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    address TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX sign_in_failures_email ON sign_in_failures (email, at);
CREATE INDEX sign_in_failures_address ON sign_in_failures (address, at);
CREATE INDEX sign_in_failures_at ON sign_in_failures (at);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    text_body TEXT NOT NULL,
    html_body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at TEXT NOT NULL,
    last_error TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    sent_at TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (next_at, id) WHERE state = 'pending';
CREATE INDEX outbox_state ON outbox (state, id);
CREATE TABLE audit_events (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX audit_object ON audit_events (object, id);
-- The chain's last link; locking this row is what orders the chain.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    hash TEXT NOT NULL
) STRICT;
INSERT INTO audit_head (id, hash) VALUES (1, '');
