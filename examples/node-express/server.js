#!/usr/bin/env node
// A page by Express and a native addon. With the argument `check` it asks itself once, and ends.
const bufferutil = require('bufferutil');
const express = require('express');

const app = express();
app.get('/', (request, response) => {
  const bytes = Buffer.from('hello from Express\n');
  const mask = Buffer.from([1, 2, 3, 4]);
  // Masked twice, it is what it was.
  bufferutil.mask(bytes, mask, bytes, 0, bytes.length);
  bufferutil.unmask(bytes, mask);
  response.type('text').send(bytes);
});

const server = app.listen(8080, async () => {
  if (process.argv[2] === 'check') {
    const response = await fetch('http://127.0.0.1:8080/');
    process.stdout.write(await response.text());
    server.close();
    server.closeAllConnections();
  }
});
