#ifndef TESTS_SCHEMA_GENERATED_H_
#define TESTS_SCHEMA_GENERATED_H_
namespace tflite {
struct Model {
  unsigned int version() const { return 3; }
};
inline const Model* GetModel(const void* bytes) { return static_cast<const Model*>(bytes); }
}  // namespace tflite
#endif
