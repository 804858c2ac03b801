// When the peers on Node send: so many frames, evenly, once they are told to by a client.
'use strict';

const { FRAME } = process.env; // a count of our own, SEQ where its number goes
const FIRST = 101; // so that every frame is as long as the others

/** Call `tell` with one text after the other. */
module.exports = function beat({ frames, interval }, tell) {
  const began = performance.now();
  let number = 0;
  const next = () => {
    tell(FRAME.replace('SEQ', String(FIRST + number)));
    number += 1;
    if (number < frames) {
      setTimeout(next, Math.max(0, began + number * interval * 1000 - performance.now()));
    }
  };
  next();
};
