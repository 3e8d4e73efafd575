#include <stdio.h>

int main(void) {
    puts("hello from an index");
    return 0;
}
