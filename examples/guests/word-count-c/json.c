#include "json.h"

#include <stdlib.h>
#include <string.h>

void text_add(text_t *text, const char *bytes, size_t length) {
  if (length == 0) return;
  if (text->room - text->length < length) {
    text->room = 2 * text->room + length;
    text->bytes = realloc(text->bytes, text->room);
    // Out of memory: this life ends, and its supervisor decides.
    if (text->bytes == NULL) __builtin_trap();
  }
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

void text_add_string(text_t *text, const char *string) { text_add(text, string, strlen(string)); }

void text_add_number(text_t *text, unsigned long long number) {
  // `snprintf` would bring WASI along.
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  text_add(text, digits + at, sizeof digits - at);
}

void text_add_quoted(text_t *text, const char *bytes, size_t length) {
  static const char hex[] = "0123456789abcdef";
  text_add(text, "\"", 1);
  for (size_t n = 0; n < length; n++) {
    unsigned char byte = (unsigned char)bytes[n];
    if (byte == '"' || byte == '\\') {
      text_add(text, "\\", 1);
      text_add(text, bytes + n, 1);
    } else if (byte < 0x20) {
      char escape[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
      text_add(text, escape, sizeof escape);
    } else {
      text_add(text, bytes + n, 1);
    }
  }
  text_add(text, "\"", 1);
}

static void skip_space(json_t *json) {
  while (json->at < json->end && strchr(" \t\r\n", *json->at) != NULL && *json->at != '\0') json->at++;
}

static bool take(json_t *json, char expected) {
  skip_space(json);
  if (json->at == json->end || *json->at != expected) return false;
  json->at++;
  return true;
}

bool json_member(json_t *json, bool is_first, text_t *key, bool *is_valid) {
  *is_valid = is_first ? take(json, '{') : true;
  if (!*is_valid || take(json, '}')) return false;
  key->length = 0;
  *is_valid = (is_first || take(json, ',')) && json_string(json, key) && take(json, ':');
  return *is_valid;
}

static bool hex_4(json_t *json, unsigned *code) {
  if (json->end - json->at < 4) return false;
  *code = 0;
  for (int n = 0; n < 4; n++) {
    char c = *json->at++;
    unsigned digit;
    if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') digit = (unsigned)((c | 0x20) - 'a' + 10);
    else return false;
    *code = *code << 4 | digit;
  }
  return true;
}

static void add_code_point(text_t *text, unsigned code) {
  char bytes[4];
  size_t length;
  if (code < 0x80) {
    bytes[0] = (char)code;
    length = 1;
  } else {
    length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t n = length - 1; n > 0; n--) {
      bytes[n] = (char)(0x80 | (code & 0x3f));
      code >>= 6;
    }
    bytes[0] = (char)((0xf00 >> length & 0xff) | code);
  }
  text_add(text, bytes, length);
}

// What follows `\u`: one code unit, or two that belong together.
static bool add_unicode_escape(json_t *json, text_t *text) {
  unsigned code, low;
  if (!hex_4(json, &code) || (code >= 0xdc00 && code < 0xe000)) return false;
  if (code >= 0xd800 && code < 0xdc00) {
    if (json->end - json->at < 2 || json->at[0] != '\\' || json->at[1] != 'u') return false;
    json->at += 2;
    if (!hex_4(json, &low) || low < 0xdc00 || low >= 0xe000) return false;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  add_code_point(text, code);
  return true;
}

bool json_string(json_t *json, text_t *text) {
  static const char escapes[] = "\"\\/bfnrt";
  static const char meanings[] = "\"\\/\b\f\n\r\t";
  if (!take(json, '"')) return false;
  while (json->at < json->end) {
    const char *from = json->at;
    while (json->at < json->end && *json->at != '"' && *json->at != '\\') json->at++;
    text_add(text, from, (size_t)(json->at - from));
    if (json->at == json->end) return false;
    if (*json->at++ == '"') return true;
    if (json->at == json->end) return false;
    char escape = *json->at++;
    const char *found = escape == '\0' ? NULL : strchr(escapes, escape);
    if (found != NULL) text_add(text, meanings + (found - escapes), 1);
    else if (escape != 'u' || !add_unicode_escape(json, text)) return false;
  }
  return false;
}

bool json_skip(json_t *json) {
  size_t depth = 0;
  do {
    skip_space(json);
    if (json->at == json->end) return false;
    char c = *json->at;
    if (c == '"') {
      text_t ignored = {0};
      bool is_string = json_string(json, &ignored);
      free(ignored.bytes);
      if (!is_string) return false;
    } else if (c == '{' || c == '[') {
      depth++;
      json->at++;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return false;
      depth--;
      json->at++;
    } else if (c == ',' || c == ':') {
      if (depth == 0) return false;
      json->at++;
    } else {
      while (json->at < json->end && strchr(" \t\r\n\",:[]{}", *json->at) == NULL) json->at++;
    }
  } while (depth > 0);
  return true;
}
