// Fastify + pg: the same vote, by Fastify's and node-postgres's fast settings.
//
// VARIANT says how a vote reaches the database: `one` (one prepared statement, which commits by
// itself), `transaction` (BEGIN, lock, statement, COMMIT; the tables go by the faster of the two),
// or `bare` (one INSERT with a unique key and nothing else).
'use strict';

const { createHash, randomBytes, randomUUID } = require('node:crypto');
const { readFileSync } = require('node:fs');
const fastify = require('fastify')({ logger: false });
const { Pool } = require('pg');

const { DATABASE_URL, PORT, POOL = '10', VARIANT = 'one', VOTE_SQL } = process.env;
const pool = new Pool({ connectionString: DATABASE_URL, max: Number(POOL), min: Number(POOL) });
const VOTE = readFileSync(VOTE_SQL, 'utf8');
const SHARE = 'SELECT 1 FROM polls_poll WHERE id = $1 FOR SHARE';
const BARE = 'INSERT INTO bench_bare (voter_key, option_id) VALUES ($1, $2)';

const sha256 = (text) => createHash('sha256').update(text).digest();

async function one(values) {
  return pool.query({ name: 'vote', text: VOTE, values });
}

async function transaction(values) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query({ name: 'share', text: SHARE, values: [values[0]] });
    const found = await client.query({ name: 'vote', text: VOTE, values });
    await client.query('COMMIT');
    return found;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

async function bare(values) {
  await pool.query({ name: 'bare', text: BARE, values: [values[1], values[6]] });
  return { rows: [{ seq: 0 }] };
}

const cast = { one, transaction, bare }[VARIANT];

const uuid = { type: 'string', format: 'uuid' };
const schema = {
  params: { type: 'object', required: ['poll'], properties: { poll: uuid } },
  headers: {
    type: 'object',
    required: ['idempotency-key'],
    properties: { 'idempotency-key': { type: 'string', minLength: 16, maxLength: 255 } },
  },
  body: {
    type: 'object',
    required: ['choices'],
    additionalProperties: false,
    properties: { choices: { type: 'array', minItems: 1, maxItems: 1, items: uuid } },
  },
  response: {
    201: {
      type: 'object',
      properties: { poll: uuid, receipt: { type: 'string' }, seq: { type: 'integer' } },
    },
  },
};

fastify.post('/api/v1/polls/:poll/votes/', { schema }, async (request, reply) => {
  const { poll } = request.params;
  const [option] = request.body.choices;
  const key = request.headers['idempotency-key'];
  const receipt = randomBytes(16);
  const found = await cast([
    poll, sha256(`open:${key}`), randomUUID(), sha256(key), sha256(option), receipt, option,
  ]);
  if (found.rows.length === 0) {
    return reply.code(409).send({ code: 'not_counted' });
  }
  reply.code(201);
  return { poll, receipt: receipt.toString('hex'), seq: found.rows[0].seq };
});

fastify.listen({ port: Number(PORT), host: '127.0.0.1', backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
