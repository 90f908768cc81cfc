INSERT INTO users (id, email, name, password_hash, operator, created_at) VALUES
    ({0198c0de0000700080000000000000a1}, 'ada@example.com', 'Ada', NULL, TRUE, '2026-01-01T00:00:00+00:00'),
    ({0198c0de0000700080000000000000b1}, 'ben@example.com', 'Ben', NULL, FALSE, '2026-01-01T00:00:00+00:00');
INSERT INTO sessions (user_id, id, token_hash, user_agent, created_at, last_seen_at, expires_at) VALUES
    ({0198c0de0000700080000000000000a1}, {0198c0de0000700080000000000000a2}, '5060dcc1161092ae7325bed2af451663812d0ea468c12b37bec3447108a8b08c', NULL, '2026-01-01T00:00:00+00:00', '2098-01-01T00:00:00+00:00', '2099-01-01T00:00:00+00:00'),
    ({0198c0de0000700080000000000000b1}, {0198c0de0000700080000000000000b2}, 'a935b04fc6109b1aed6ef1b9e568fad109acea588ec61358b6ab61c8856ca0bf', NULL, '2026-01-01T00:00:00+00:00', '2098-01-01T00:00:00+00:00', '2099-01-01T00:00:00+00:00');
UPDATE accounts SET primary_owner_id = {0198c0de0000700080000000000000a1};
UPDATE accounts SET slug = 'paper-lab' WHERE kind = 'team';
INSERT INTO members (account_id, user_id, role, joined_at)
    SELECT id, {0198c0de0000700080000000000000a1}, 'owner', '2026-01-01T00:00:00+00:00' FROM accounts;
INSERT INTO members (account_id, user_id, role, joined_at)
    SELECT id, {0198c0de0000700080000000000000b1}, 'member', '2026-01-01T00:00:00+00:00' FROM accounts WHERE kind = 'team';
