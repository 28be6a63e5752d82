# Included by the Makefile beside it: `make test` checks the front end of sound as well.
test: $(BUILD)/sound_c99 $(BUILD)/sound_cpp17

$(BUILD)/sound_c99: sound_test.c $(SRC)/sound.h $(HEADERS) $(BUILD)/model.o
	$(CC) -std=c99 $(WARNINGS) $(CFLAGS) -I $(SRC) sound_test.c $(BUILD)/model.o $(LDFLAGS) -lm -o $@
	$(RUN) $@

$(BUILD)/sound_cpp17: sound_test.c $(SRC)/sound.h $(HEADERS) $(BUILD)/model.o
	$(CXX) -std=c++17 $(WARNINGS) $(CXXFLAGS) -I $(SRC) -x c++ sound_test.c -x none $(BUILD)/model.o \
	  $(LDFLAGS) -lm -o $@
	$(RUN) $@
