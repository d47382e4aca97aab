/* SPDX-License-Identifier: Apache-2.0
 *
 * This transform leaves out records that have a word in them, and masks the digits of the others. Start here, and make it
 * yours. Its configuration is {"word": "..."}; its shape is filter.
 */
#include "glovebox_tx.h"

static char *word;

int tx_open(const char *config, size_t size) {
  (void)config, (void)size;
  word = tx_text("word", "confidential");
  return *word ? 0 : 1;
}

static int digit(char c) { return c >= '0' && c <= '9'; }

static int has_word(const char *p, size_t n) {
  size_t length = strlen(word);
  for (size_t i = 0; i + length <= n; i++)
    if (p[i] == *word && !memcmp(p + i, word, length)) return 1;
  return 0;
}

void tx_record(char *p, size_t n) {
  if (has_word(p, n)) {
    tx_found("WORD", 0, n, 1000);
    return; /* nothing is put: it is left out */
  }
  for (size_t i = 0; i < n;) {
    if (!digit(p[i])) {
      i++;
      continue;
    }
    size_t start = i;
    while (i < n && digit(p[i])) p[i++] = '9'; /* still a number, where it was one */
    tx_found("DIGITS", start, i, 1000);
  }
  tx_put(p, n);
}
