// A worker for `swarmctl dispatch` in JavaScript: counts words as the native `text` behaviour does, and misbehaves when told to.

import * as messaging from 'swarm:agent/messaging@0.1.0';

// QuickJS has no TextEncoder.
function encode(text) {
  const bytes = [];
  for (const character of text) {
    const code = character.codePointAt(0);
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
  }
  return new Uint8Array(bytes);
}

function decode(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    const more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let code = more === 0 ? first : first & (0x3f >> more);
    for (let n = 0; n < more; n++) code = (code << 6) | (bytes[at++] & 0x3f);
    text += String.fromCodePoint(code);
  }
  return text;
}

function count(text) {
  const lineFeeds = text.split('\n').length - 1;
  const isInLine = text !== '' && !text.endsWith('\n');
  return {
    words: text.split(/\s+/u).filter((word) => word !== '').length,
    lines: lineFeeds + (isInLine ? 1 : 0),
    bytes: encode(text).length,
  };
}

let seen = 0;

function perform(task, input) {
  switch (task) {
    case 'word-count':
      return count(input);
    case 'upper':
      return input.toUpperCase();
    case 'seen':
      return seen;
    case 'loop':
      for (;;);
    case 'eat-memory':
      for (const eaten = []; ; ) eaten.push(new Uint8Array(1 << 20).fill(1));
    default:
      throw new Error(`unknown task ${task}`);
  }
}

// The answer to a message, as FIPA wants it.
function reply(message, performative, content) {
  return {
    performative,
    sender: undefined,
    receivers: [],
    replyTo: [],
    content: encode(JSON.stringify(content)),
    contentType: 'application/json',
    language: 'application/json',
    encoding: message.encoding,
    ontology: message.ontology,
    protocol: message.protocol,
    conversationId: message.conversationId,
    replyWith: undefined,
    inReplyTo: message.replyWith,
    replyBy: undefined,
    userParameters: [],
  };
}

export const lifecycle = {
  onStart(_config) {},
  onMessage(message) {
    if (message.performative !== 'request') return;
    seen++;
    let answer;
    try {
      const order = JSON.parse(decode(message.content ?? []));
      answer = reply(message, 'inform', perform(order.task, order.input ?? ''));
    } catch (error) {
      answer = reply(message, 'failure', { error: String(error.message ?? error) });
    }
    messaging.answer(answer);
  },
  onTimer(_timer, _tag) {},
  onStop(_reason) {},
  snapshot() {
    return { version: 1, bytes: encode(String(seen)) };
  },
  restore(state) {
    if (state.version !== 1) throw `cannot read a state of version ${state.version}`;
    seen = Number(decode(state.bytes));
  },
};
