// Puts the example of a new architecture beside the delivered ones, as its folder under architectures/ would.
namespace m3d {

void register_two_convolutions();

namespace {
const bool kRegistered = (register_two_convolutions(), true);
}  // namespace

}  // namespace m3d
