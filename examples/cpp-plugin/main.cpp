#include <dlfcn.h>

#include <filesystem>
#include <iostream>
#include <set>

// Loads every plugin of a directory and lets it speak. Nothing in this file names a plugin, so
// no reader of ELF files can know of them: --include tells.
int main(int argc, char **argv) {
    const std::filesystem::path directory = argc > 1 ? argv[1] : "/plugins";
    std::set<std::filesystem::path> plugins;
    for (const auto &entry : std::filesystem::directory_iterator(directory))
        if (entry.path().extension() == ".so") plugins.insert(entry.path());
    for (const auto &path : plugins) {
        void *plugin = dlopen(path.c_str(), RTLD_NOW);
        void *speak = plugin ? dlsym(plugin, "speak") : nullptr;
        if (!speak) {
            std::cerr << dlerror() << '\n';
            return 1;
        }
        std::cout << path.filename().string() << ": "
                  << reinterpret_cast<const char *(*)()>(speak)() << '\n';
    }
    return plugins.empty();
}
