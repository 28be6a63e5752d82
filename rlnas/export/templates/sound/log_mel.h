#define @NAME@_SOUND_POINTS @points@ /* of the transform */

/* Hann's window and the sines of the transform, times 2^14. */
static const int16_t @name@_sound_window[@NAME@_SOUND_FRAME] = {
@window@
};
static const int16_t @name@_sound_cosine[@NAME@_SOUND_POINTS / 2] = {
@cosine@
};
static const int16_t @name@_sound_sine[@NAME@_SOUND_POINTS / 2] = {
@sine@
};

/* Triangles on the mel scale: the first frequency of each, how many it has, and the weights of all,
 * times 2^12. */
static const uint16_t @name@_sound_first[@NAME@_SOUND_BINS] = {
@first@
};
static const uint16_t @name@_sound_count[@NAME@_SOUND_BINS] = {
@count@
};
static const uint16_t @name@_sound_weights[] = {
@weights@
};

/* 2^(31 + i/6): the steps of a feature in an octave. */
static const uint32_t @name@_sound_steps[@last_step@] = {@mantissas@};

typedef struct {
  int16_t samples[@NAME@_SOUND_FRAME];
  int filled;
  int32_t real[@NAME@_SOUND_POINTS / 2]; /* of the transform */
  int32_t imaginary[@NAME@_SOUND_POINTS / 2];
} @name@_sound_work;

/* A complex number times cosine - i sine of `turn` / POINTS turns, rounded. Shifts of negative
 * numbers are arithmetic, as those of all compilers for chips. */
static inline void @name@_sound_turn(int32_t real, int32_t imaginary, int turn, int32_t* turned_real,
                                     int32_t* turned_imaginary) {
  const int64_t cosine = @name@_sound_cosine[turn], sine = @name@_sound_sine[turn];
  *turned_real = (int32_t)((real * cosine + imaginary * sine + 8192) >> 14);
  *turned_imaginary = (int32_t)((imaginary * cosine - real * sine + 8192) >> 14);
}

/* The transform of POINTS / 2 complex numbers, in place. */
static inline void @name@_sound_transform(int32_t* real, int32_t* imaginary) {
  enum { half = @NAME@_SOUND_POINTS / 2 };
  for (int i = 0, j = 0; i < half; ++i) { /* j is i with its bits reversed */
    if (i < j) {
      const int32_t r = real[i], m = imaginary[i];
      real[i] = real[j];
      imaginary[i] = imaginary[j];
      real[j] = r;
      imaginary[j] = m;
    }
    int bit = half >> 1;
    while (bit != 0 && (j & bit) != 0) {
      j ^= bit;
      bit >>= 1;
    }
    j |= bit;
  }
  for (int size = 2; size <= half; size *= 2) {
    for (int start = 0; start < half; start += size) {
      for (int i = 0; i < size / 2; ++i) {
        const int a = start + i, b = a + size / 2;
        int32_t r, m;
        @name@_sound_turn(real[b], imaginary[b], i * (@NAME@_SOUND_POINTS / size), &r, &m);
        real[b] = real[a] - r;
        imaginary[b] = imaginary[a] - m;
        real[a] += r;
        imaginary[a] += m;
      }
    }
  }
}

/* How many of the thresholds 2^(20 + j/6), j >= 1, an energy reaches: at most 255. */
static inline uint8_t @name@_sound_log(uint64_t energy) {
  int octave = 20;
  if ((energy >> octave) == 0) return 0;
  while ((energy >> octave) > 1) ++octave;
  const uint32_t mantissa = (uint32_t)(octave > 31 ? energy >> (octave - 31) : energy << (31 - octave));
  int feature = 6 * (octave - 20);
  for (int i = 0; i < @last_step@; ++i) feature += mantissa >= @name@_sound_steps[i];
  return (uint8_t)(feature > 255 ? 255 : feature);
}

/* The features of the frame in work->samples. */
static inline void @name@_sound_frame(@name@_sound_work* work, uint8_t* features) {
  enum { half = @NAME@_SOUND_POINTS / 2 };
  int32_t* real = work->real;
  int32_t* imaginary = work->imaginary;
  for (int i = 0; i < @NAME@_SOUND_POINTS; ++i) {
    int32_t value = 0;
    if (i < @NAME@_SOUND_FRAME) {
      value = ((int32_t)work->samples[i] * @name@_sound_window[i] + 512) >> 10;
    }
    (i % 2 == 0 ? real : imaginary)[i / 2] = value;
  }
  @name@_sound_transform(real, imaginary);
  const uint16_t* weight = @name@_sound_weights;
  for (int bin = 0; bin < @NAME@_SOUND_BINS; ++bin) {
    uint64_t energy = 0;
    for (int i = 0; i < @name@_sound_count[bin]; ++i) {
      const int k = @name@_sound_first[bin] + i, mirror = half - k;
      int32_t r, m; /* of the odd samples, turned */
      @name@_sound_turn(imaginary[k] + imaginary[mirror], real[mirror] - real[k], k, &r, &m);
      const int64_t x = (int64_t)real[k] + real[mirror] + r;
      const int64_t y = (int64_t)imaginary[k] - imaginary[mirror] + m;
      energy += (uint64_t)(x * x + y * y) / 1024 * *weight++;
    }
    features[bin] = @name@_sound_log(energy);
  }
}

static inline int @name@_sound_begin(@name@_sound_work* work) {
  work->filled = 0;
  return 0;
}

/* Takes samples until a frame is complete; returns whether it is. */
static inline int @name@_sound_take(@name@_sound_work* work, const int16_t* samples, int count,
                                    int* taken, uint8_t* features) {
  const int room = @NAME@_SOUND_FRAME - work->filled;
  *taken = count < room ? count : room;
  memcpy(work->samples + work->filled, samples, (size_t)*taken * sizeof(samples[0]));
  work->filled += *taken;
  if (work->filled < @NAME@_SOUND_FRAME) return 0;
  @name@_sound_frame(work, features);
  work->filled -= @NAME@_SOUND_HOP;
  memmove(work->samples, work->samples + @NAME@_SOUND_HOP,
          (size_t)work->filled * sizeof(work->samples[0]));
  return 1;
}
