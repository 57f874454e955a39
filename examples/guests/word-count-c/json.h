// As much of JSON as a worker needs: reading an object's members, and writing a string.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

// A growing text. Its memory is its owner's: `free(text.bytes)`.
typedef struct {
  char *bytes;
  size_t length;
  size_t room;
} text_t;

void text_add(text_t *text, const char *bytes, size_t length);
void text_add_string(text_t *text, const char *string);
void text_add_number(text_t *text, unsigned long long number);
// The bytes as a JSON string, with its quotes. They must be UTF-8.
void text_add_quoted(text_t *text, const char *bytes, size_t length);

// What is left to read.
typedef struct {
  const char *at;
  const char *end;
} json_t;

// Steps to the next member of an object; call it first where the object begins. At a member, the key is added to `key` (which is emptied
// before) and the reader stands before its value. False at the end of the object, or where it is none: `*is_valid` tells.
bool json_member(json_t *json, bool is_first, text_t *key, bool *is_valid);
// Reads a string, adding what it says to `text`. False if there is none.
bool json_string(json_t *json, text_t *text);
// Steps over any value. False if it ends too early.
bool json_skip(json_t *json);

#endif
