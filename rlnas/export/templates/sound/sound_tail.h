
/* Listens to a stream: keeps the samples of a frame and the last @FRAMES@ frames of features, a ring.
 * @stream_bytes@ bytes@heap@, beside the arena. Make it static, as it may not fit on a stack. */
typedef struct {
  @name@_sound_work work;
  uint8_t ring[@NAME@_SOUND_FRAMES][@NAME@_SOUND_BINS];
  int next;   /* the oldest frame of the ring, which the next one replaces */
  int frames; /* how many the ring holds */
} @name@_sound_stream;

/* Starts again, with silence before the first sample. Returns 0, or -1 if it fails. */
static inline int @name@_sound_reset(@name@_sound_stream* stream) {
  stream->next = 0;
  stream->frames = 0;
  return @name@_sound_begin(&stream->work);
}

/* Takes samples, as many as there are. Returns how many frames they completed; give it
 * @NAME@_SOUND_HOP samples at a time to classify after each frame. */
static inline int @name@_sound_listen(@name@_sound_stream* stream, const int16_t* samples,
                                      int count) {
  int completed = 0;
  while (count > 0) {
    int taken = 0;
    if (@name@_sound_take(&stream->work, samples, count, &taken, stream->ring[stream->next])) {
      stream->next = (stream->next + 1) % @NAME@_SOUND_FRAMES;
      if (stream->frames < @NAME@_SOUND_FRAMES) ++stream->frames;
      ++completed;
    }
    samples += taken;
    count -= taken;
  }
  return completed;
}

/* Writes the network's input, the features of the last @NAME@_SOUND_FRAMES frames, to what
 * @name@_input() of classify.h returns. Returns 0 and writes nothing until there are so many. */
static inline int @name@_sound_input(const @name@_sound_stream* stream, int8_t* input) {
  if (stream->frames < @NAME@_SOUND_FRAMES) return 0;
  for (int i = 0; i < @NAME@_SOUND_FRAMES; ++i) {
    const uint8_t* frame = stream->ring[(stream->next + i) % @NAME@_SOUND_FRAMES];
    for (int bin = 0; bin < @NAME@_SOUND_BINS; ++bin) *input++ = @name@_quantize(frame[bin]);
  }
  return 1;
}

#endif /* @NAME@_SOUND_H_ */
