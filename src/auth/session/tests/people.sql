INSERT INTO users VALUES (x'USER', 'ada@example.com', 'Ada', NULL, 0, '2026-01-01T00:00:00+00:00');
INSERT INTO accounts (id, name, kind, plan, balance_millicredits, ledger_seq, created_at, slug, primary_owner_id) VALUES
    (x'0198c0de000070008000000000000001', 'Ada', 'personal', 'free', 0, 0, '2026-01-01T00:00:00+00:00', NULL, x'USER'),
    (x'0198c0de000070008000000000000002', 'Paper Lab', 'team', 'free', 0, 0, '2026-01-01T00:00:00+00:00', 'paper-lab', NULL),
    (x'0198c0de000070008000000000000003', 'Others', 'team', 'free', 0, 0, '2026-01-01T00:00:00+00:00', 'others', NULL);
INSERT INTO members VALUES
    (x'0198c0de000070008000000000000001', x'USER', 'owner', '2026-01-01T00:00:00+00:00'),
    (x'0198c0de000070008000000000000002', x'USER', 'member', '2026-01-01T00:00:00+00:00');
