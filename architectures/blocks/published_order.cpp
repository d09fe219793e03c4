#include "architectures/blocks/published_order.h"

namespace m3d {
namespace {

thread_local int depth = 0;

}  // namespace

PublishedOrder::PublishedOrder() { ++depth; }
PublishedOrder::~PublishedOrder() { --depth; }
bool PublishedOrder::wanted() { return depth > 0; }

}  // namespace m3d
