// A worker for `swarmctl dispatch` in C: counts words as the native `text` behaviour does, and misbehaves when told to.

#include "json.h"
#include "swarm.h"

#include <stdlib.h>
#include <string.h>

// How many orders this agent has seen, upgrades included; a crash begins at 0 again.
static uint64_t seen;

// The version of the state that the snapshot has.
enum { STATE_VERSION = 1 };

// The code point at `*at`, which moves on. The text is UTF-8, as the host gives nothing else.
static unsigned code_point(const unsigned char **at, const unsigned char *end) {
  unsigned code = *(*at)++;
  unsigned more = code < 0xc0 ? 0 : code < 0xe0 ? 1 : code < 0xf0 ? 2 : 3;
  if (more > 0) code &= 0x3fu >> more;
  while (more-- > 0 && *at < end) code = code << 6 | (*(*at)++ & 0x3f);
  return code;
}

// Unicode's property White_Space.
static bool is_space(unsigned code) {
  return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
         code == 0x3000;
}

static void count(const text_t *input, text_t *output) {
  const unsigned char *at = (const unsigned char *)input->bytes;
  const unsigned char *end = at + input->length;
  unsigned long long words = 0, lines = 0;
  bool is_in_word = false;
  while (at < end) {
    unsigned code = code_point(&at, end);
    bool is_part = !is_space(code);
    words += is_part && !is_in_word;
    lines += code == '\n';
    is_in_word = is_part;
  }
  bool is_in_line = input->length > 0 && input->bytes[input->length - 1] != '\n';
  text_add_string(output, "{\"words\":");
  text_add_number(output, words);
  text_add_string(output, ",\"lines\":");
  text_add_number(output, lines + is_in_line);
  text_add_string(output, ",\"bytes\":");
  text_add_number(output, input->length);
  text_add_string(output, "}");
}

static bool is(const text_t *text, const char *word) {
  return text->length == strlen(word) && memcmp(text->bytes, word, text->length) == 0;
}

// Does one task, adding what came out to `output`; false with an error there. Those that misbehave do not come back.
static bool perform(const text_t *task, const text_t *input, text_t *output) {
  if (is(task, "word-count")) {
    count(input, output);
    return true;
  }
  if (is(task, "seen")) {
    text_add_number(output, seen);
    return true;
  }
  if (is(task, "trap")) __builtin_trap();
  if (is(task, "loop")) {
    for (volatile unsigned long long turns = 0;; turns++) continue;
  }
  if (is(task, "eat-memory")) {
    char *eaten;
    while ((eaten = malloc(1 << 20)) != NULL) memset(eaten, 1, 1 << 20);
    __builtin_trap();
  }
  text_add_string(output, "unknown task ");
  text_add(output, task->bytes, task->length);
  return false;
}

// Reads `{"task":…,"input":…}` and does it.
static bool obey(json_t order, text_t *output) {
  text_t key = {0}, task = {0}, input = {0};
  bool is_valid, is_first = true, is_done = false;
  while (json_member(&order, is_first, &key, &is_valid)) {
    is_first = false;
    json_t value = order;
    text_t *member = is(&key, "task") ? &task : is(&key, "input") ? &input : NULL;
    if (member != NULL) member->length = 0;
    if (member != NULL && json_string(&value, member)) {
      order = value;
      continue;
    }
    // What is no string, such as an input of null, is none.
    if (member != NULL) member->length = 0;
    is_valid = json_skip(&order);
    if (!is_valid) break;
  }
  if (is_valid && task.length > 0) is_done = perform(&task, &input, output);
  else text_add_string(output, "not an order");
  free(key.bytes);
  free(task.bytes);
  free(input.bytes);
  return is_done;
}

static swarm_option_string_t some(const char *text) {
  swarm_option_string_t option = {.is_some = true};
  swarm_string_set(&option.val, text);
  return option;
}

// The answer to a message, as FIPA wants it. It borrows from the message: it is not to be freed.
static agent_message_t reply(const agent_message_t *message, agent_performative_t act, const text_t *content) {
  return (agent_message_t){
      .performative = act,
      .content = {.is_some = true, .val = {(uint8_t *)content->bytes, content->length}},
      .content_type = some("application/json"),
      .language = some("application/json"),
      .encoding = message->encoding,
      .ontology = message->ontology,
      .protocol = message->protocol,
      .conversation_id = message->conversation_id,
      .in_reply_to = message->reply_with,
  };
}

static bool answer(const agent_message_t *message, swarm_string_t *error) {
  text_t output = {0}, content = {0};
  json_t order = {0};
  if (message->content.is_some) {
    order.at = (const char *)message->content.val.ptr;
    order.end = order.at + message->content.val.len;
  }
  bool is_done = obey(order, &output);
  if (is_done) {
    text_add(&content, output.bytes, output.length);
  } else {
    text_add_string(&content, "{\"error\":");
    text_add_quoted(&content, output.bytes, output.length);
    text_add_string(&content, "}");
  }
  agent_message_t told = reply(message, is_done ? AGENT_PERFORMATIVE_INFORM : AGENT_PERFORMATIVE_FAILURE, &content);
  agent_error_t why;
  bool is_taken = messaging_answer(&told, &why);
  if (!is_taken) {
    swarm_string_dup(error, "the answer was not taken");
    agent_error_free(&why);
  }
  free(output.bytes);
  free(content.bytes);
  return is_taken;
}

bool exports_agent_on_start(swarm_string_t *config, swarm_string_t *error) {
  (void)error;
  swarm_string_free(config);
  return true;
}

bool exports_agent_on_message(agent_message_t *message, swarm_string_t *error) {
  bool is_done = true;
  if (message->performative == AGENT_PERFORMATIVE_REQUEST) {
    seen++;
    is_done = answer(message, error);
  }
  agent_message_free(message);
  return is_done;
}

bool exports_agent_on_timer(uint64_t timer, uint64_t tag, swarm_string_t *error) {
  (void)timer, (void)tag, (void)error;
  return true;
}

void exports_agent_on_stop(swarm_string_t *reason) { swarm_string_free(reason); }

bool exports_agent_snapshot(agent_saved_state_t *state, swarm_string_t *error) {
  (void)error;
  state->version = STATE_VERSION;
  state->bytes.len = sizeof seen;
  state->bytes.ptr = malloc(sizeof seen);
  if (state->bytes.ptr == NULL) __builtin_trap();
  memcpy(state->bytes.ptr, &seen, sizeof seen);
  return true;
}

bool exports_agent_restore(agent_saved_state_t *state, swarm_string_t *error) {
  bool is_known = state->version == STATE_VERSION && state->bytes.len == sizeof seen;
  if (is_known) memcpy(&seen, state->bytes.ptr, sizeof seen);
  else swarm_string_dup(error, "cannot read a state of another version");
  agent_saved_state_free(state);
  return is_known;
}
