// Node `ws`: the text is encoded once and handed to every client, without compression.
'use strict';

const { WebSocketServer } = require('ws');
const beat = require('./beat.js');

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.env.PORT),
  backlog: 4096,
  perMessageDeflate: false,
});
server.on('connection', (client) => {
  client.on('error', () => {}); // the receivers leave without a close frame
  client.on('message', (message) => {
    beat(JSON.parse(message), (text) => {
      const encoded = Buffer.from(text);
      for (const one of server.clients) one.send(encoded, { binary: false });
    });
  });
});
process.on('SIGTERM', () => process.exit(0));
