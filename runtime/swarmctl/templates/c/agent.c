// An agent that says back what it is told, and how often it was told something.

#include "swarm.h"

#include <stdlib.h>
#include <string.h>

// What this agent keeps from one message to the next.
static uint64_t told;

static swarm_option_string_t some(const char *text) {
  swarm_option_string_t option = {.is_some = true};
  swarm_string_set(&option.val, text);
  return option;
}

// The content with ` (NUMBER)` behind it.
static swarm_list_u8_t numbered(const swarm_option_list_u8_t *content, uint64_t number) {
  char text[24];
  size_t at = sizeof text - 1;
  text[at] = ')';
  do text[--at] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  text[--at] = '(';
  text[--at] = ' ';
  size_t said = content->is_some ? content->val.len : 0;
  swarm_list_u8_t bytes = {malloc(said + sizeof text - at), said + sizeof text - at};
  // Out of memory: this life ends, and its supervisor decides.
  if (bytes.ptr == NULL) __builtin_trap();
  if (said > 0) memcpy(bytes.ptr, content->val.ptr, said);
  memcpy(bytes.ptr + said, text + at, sizeof text - at);
  return bytes;
}

// A life begins; false, with an error, is why the agent did not start. What an export is given is its own: it frees it.
bool exports_agent_on_start(swarm_string_t *config, swarm_string_t *error) {
  (void)error;
  swarm_string_free(config);
  return true;
}

bool exports_agent_on_message(agent_message_t *message, swarm_string_t *error) {
  bool is_done = true;
  if (message->performative == AGENT_PERFORMATIVE_REQUEST) {
    told++;
    // The answer, as FIPA wants it; the host fills in from whom it is and to whom it goes. It borrows from the message.
    agent_message_t reply = {
        .performative = AGENT_PERFORMATIVE_INFORM,
        .content = {.is_some = true, .val = numbered(&message->content, told)},
        .content_type = some("text/plain"),
        .language = message->language,
        .encoding = message->encoding,
        .ontology = message->ontology,
        .protocol = message->protocol,
        .conversation_id = message->conversation_id,
        .in_reply_to = message->reply_with,
    };
    agent_error_t why;
    is_done = messaging_answer(&reply, &why);
    if (!is_done) {
      swarm_string_dup(error, "the answer was not taken");
      agent_error_free(&why);
    }
    free(reply.content.val.ptr);
  }
  agent_message_free(message);
  return is_done;
}

bool exports_agent_on_timer(uint64_t timer, uint64_t tag, swarm_string_t *error) {
  (void)timer, (void)tag, (void)error;
  return true;
}

// An ordered end; never after a crash.
void exports_agent_on_stop(swarm_string_t *reason) { swarm_string_free(reason); }

// The state, for another version of this code.
bool exports_agent_snapshot(agent_saved_state_t *state, swarm_string_t *error) {
  (void)error;
  *state = (agent_saved_state_t){1, {malloc(sizeof told), sizeof told}};
  if (state->bytes.ptr == NULL) __builtin_trap();
  memcpy(state->bytes.ptr, &told, sizeof told);
  return true;
}

bool exports_agent_restore(agent_saved_state_t *state, swarm_string_t *error) {
  bool is_known = state->version == 1 && state->bytes.len == sizeof told;
  if (is_known) memcpy(&told, state->bytes.ptr, sizeof told);
  else swarm_string_dup(error, "cannot read a state of another version");
  agent_saved_state_free(state);
  return is_known;
}
