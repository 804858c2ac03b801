// Socket.IO: `emit` to everybody, over WebSockets alone; its adapter makes the frame once.
'use strict';

const { createServer } = require('node:http');
const { Server } = require('socket.io');
const beat = require('./beat.js');

const http = createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, serveClient: false });
io.on('connection', (socket) => {
  socket.on('go', (job) => beat(job, (text) => io.emit('tally', JSON.parse(text))));
});
http.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
