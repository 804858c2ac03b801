-- One vote, whole, in one statement: what the peers run, Fastify, FastAPI and pgbench alike.
-- $1 poll, $2 voter key, $3 ballot id, $4 key hash, $5 ballot hash, $6 receipt, $7 option.
-- No row comes back where the poll is not open or the voter has voted.
--
-- A transaction of lock and statement takes four trips, and the poll's tally row stays locked during
-- two of them. FOR SHARE evaluates the window anew once it has waited for a close. The outer UPDATE runs first, so that whoever holds a poll's row in
-- polls_polltally has its other counters to itself, and no two votes lock each other out.
WITH poll AS (
    SELECT id FROM polls_poll
    WHERE id = $1::uuid AND status = 'open' AND deleted_at IS NULL
      AND (closes_at IS NULL OR closes_at > clock_timestamp())
      AND (opened_at IS NOT NULL OR opens_at IS NULL OR opens_at <= clock_timestamp())
    FOR SHARE
), participation AS (
    INSERT INTO polls_participation
        (poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash)
    SELECT id, $2::bytea, $3::uuid, $4::bytea, $5::bytea FROM poll
    ON CONFLICT DO NOTHING RETURNING poll_id, ballot_id
), ballot AS (
    INSERT INTO polls_ballot (poll_id, id, receipt)
    SELECT poll_id, ballot_id, $6::bytea FROM participation
), selection AS (
    INSERT INTO polls_selection (poll_id, ballot_id, option_id)
    SELECT poll_id, ballot_id, $7::uuid FROM participation
), tally AS (
    UPDATE polls_tally t SET votes = t.votes + 1
    FROM participation p WHERE t.poll_id = p.poll_id AND t.option_id = $7::uuid
), bucket AS (
    INSERT INTO polls_tallybucket (poll_id, option_id, votes, at)
    SELECT poll_id, $7::uuid, 1, date_trunc('second', clock_timestamp()) FROM participation
    ON CONFLICT (poll_id, at, option_id) DO UPDATE SET votes = polls_tallybucket.votes + 1
)
UPDATE polls_polltally t SET seq = t.seq + 1, ballots = t.ballots + 1
FROM participation p WHERE t.poll_id = p.poll_id
RETURNING t.seq::int AS seq
